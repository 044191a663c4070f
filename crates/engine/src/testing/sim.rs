//! One simulated story: engines, cloud, journal and an impatient person, all drawn from a seed.
//!
//! Time is virtual and moves in ticks. Within a tick the engines are polled one port call at a time,
//! in random order, so that every interleaving of two engines can come up. What must always be true
//! is in [`checks`]; what the story is about is in [`story`].
//!
//! Invariant: a seed replays exactly; no clock, no thread and no address is part of the outcome.

pub mod checks;
pub mod ports;
pub mod story;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use domain::{
    deployment::{Command, Course, Deployment},
    event,
    time::UnixMs,
};

use self::{
    checks::Checker,
    ports::{Shared, SimClock, SimJournal, SimProbe, SimProvider, pause},
    story::Story,
};
use super::faults::{Faults, happens};
use crate::{
    lease::Sightings,
    ports::{Clock, Journal},
    stopwatch::Stopwatch,
    turn::{Turned, World, turn},
};

/// Length of a tick, in milliseconds of virtual time.
pub const TICK_MS: u64 = 500;
/// How long a lease must stand still before another engine takes it, in milliseconds.
pub const LEASE_MS: u64 = 30_000;
/// The story must end this long after the last fault, in milliseconds: every deadline that a
/// deployment can run into, one after the other.
const ENDS_WITHIN_MS: u64 = 20_000_000;
/// Time after the end in which nothing may change any more, in milliseconds.
const AFTERMATH_MS: u64 = 120_000;

/// What a story came to.
#[derive(Debug)]
pub struct Report {
    /// The seed that replays it.
    pub seed: u64,
    /// What it was about, in a line.
    pub title: String,
    /// The events of the deployment, as people saw them.
    pub log: Vec<String>,
    /// How it ended.
    pub outcome: String,
    /// What was broken. Empty when all was well.
    pub violations: Vec<String>,
    /// Port calls made.
    pub calls: u64,
}

type Engine = Pin<Box<dyn Future<Output = ()>>>;

/// Plays the story of `seed` to its end.
#[must_use]
pub fn play(seed: u64) -> Report {
    play_with(seed, |_| ())
}

/// Plays the story of `seed` with a change to its end.
#[must_use]
pub fn play_with(seed: u64, change: impl FnOnce(&mut Story)) -> Report {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut story = Story::draw(&mut rng);
    change(&mut story);
    let shared = Arc::new(Shared::new(&story, rng.fork()));
    let id = story.deployment.id.clone();
    shared.journal.begin(story.deployment.clone());
    let mut stage = Stage {
        checker: Checker::new(&story),
        story,
        shared,
        rng,
        engines: Vec::new(),
    };
    stage.run();
    let row = stage.shared.journal.row(&id);
    let log = row.iter().flat_map(|row| &row.events);
    let ending = row.as_ref().and_then(|row| row.deployment.ending.as_ref());
    Report {
        seed,
        title: stage.story.title(),
        log: log
            .map(|event| format!("{:>7.1} s  {}", event.at.0 as f64 / 1000.0, event.message))
            .collect(),
        outcome: ending.map_or("never ended".to_owned(), |e| format!("{:?}", e.outcome)),
        calls: stage.shared.calls(),
        violations: stage.checker.violations,
    }
}

/// Everything that moves.
struct Stage {
    story: Story,
    shared: Arc<Shared>,
    rng: fastrand::Rng,
    engines: Vec<Option<Engine>>,
    checker: Checker,
}

impl Stage {
    fn run(&mut self) {
        self.engines = (0..self.story.engines)
            .map(|n| Some(self.engine(n)))
            .collect();
        let mut quiet_at = None;
        let end = self.story.faults_end_ms + ENDS_WITHIN_MS;
        while self.shared.now_ms() < end {
            self.tick();
            let ended = self.peek(|deployment| deployment.ending.is_some());
            if ended && quiet_at.is_none() {
                self.shared.set_faults(Faults::NONE);
                quiet_at = Some(self.shared.now_ms());
            }
            if quiet_at.is_some_and(|at| self.shared.now_ms() - at > AFTERMATH_MS) {
                break;
            }
        }
        let deployment = self.deployment();
        self.shared
            .with(|world| self.checker.at_the_end(&self.story, &deployment, world));
    }

    fn tick(&mut self) {
        let over = self.shared.now_ms() >= self.story.faults_end_ms;
        if over {
            self.shared.set_faults(Faults::NONE);
        }
        self.shared.advance(&mut self.rng);
        self.person(over);
        for _ in 0..self.rng.usize(2..14) {
            let n = self.rng.usize(..self.engines.len());
            self.poll(n);
        }
        let (id, shared) = (&self.story.deployment.id, &self.shared);
        let checker = &mut self.checker;
        shared.journal.peek(id, |deployment| {
            shared.with(|world| checker.every_tick(deployment, world));
        });
    }

    /// Lets engine `n` go on to its next port call; a crashed one starts again after a while.
    fn poll(&mut self, n: usize) {
        let Some(engine) = &mut self.engines[n] else {
            if happens(&mut self.rng, 100) {
                self.engines[n] = Some(self.engine(n));
            }
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        let done = engine.as_mut().poll(&mut context);
        debug_assert!(
            matches!(done, Poll::Pending),
            "engines never end by themselves"
        );
        if self.shared.take_crash(n) {
            self.engines[n] = None;
        }
    }

    fn engine(&self, n: usize) -> Engine {
        let world = World {
            provider: SimProvider {
                shared: Arc::clone(&self.shared),
                engine: n,
            },
            probe: SimProbe {
                shared: Arc::clone(&self.shared),
                engine: n,
            },
            journal: SimJournal {
                shared: Arc::clone(&self.shared),
                engine: n,
            },
            clock: SimClock {
                shared: Arc::clone(&self.shared),
            },
        };
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { drive_forever(&world, &shared, &format!("engine-{n}")).await })
    }

    /// An impatient person: pauses, resumes, aborts or rolls back at the moments of the story.
    fn person(&mut self, over: bool) {
        let now = SimClock {
            shared: Arc::clone(&self.shared),
        }
        .now();
        let paused = over && self.peek(|deployment| deployment.paused.is_some());
        let asked = !paused && self.peek(|deployment| deployment.open_approval().is_some());
        let step = self.peek(|deployment| {
            let forward = deployment.progress.course == Course::Forward;
            forward.then_some(deployment.progress.at)
        });
        let time = UnixMs(0).plus_ms(self.shared.now_ms());
        let command = match self.story.next_command(time, step) {
            Some(command) => command,
            None if paused => Command::Resume,
            None if asked && happens(&mut self.rng, 200) => self.story.answer(),
            None => return,
        };
        let deployment = self.deployment();
        if let Ok(after) = deployment.command(command.clone(), "somebody", now) {
            self.checker.commanded(&command);
            let events = event::of_command(&command, "somebody", &after, now);
            let saved = self.shared.journal.save(&after, &events);
            let mut context = Context::from_waker(Waker::noop());
            let _ = std::pin::pin!(saved).as_mut().poll(&mut context);
        }
    }

    fn peek<T: Default>(&self, look: impl FnOnce(&Deployment) -> T) -> T {
        let id = &self.story.deployment.id;
        self.shared.journal.peek(id, look).unwrap_or_default()
    }

    fn deployment(&self) -> Deployment {
        let stored = self.shared.journal.deployment(&self.story.deployment.id);
        stored.unwrap_or_else(|| self.story.deployment.clone())
    }
}

/// What the runner does, for one deployment at a time and in virtual time.
async fn drive_forever(
    world: &World<SimProvider, SimProbe, SimJournal, SimClock>,
    shared: &Arc<Shared>,
    name: &str,
) {
    let mut sightings = Sightings::default();
    loop {
        let (now, now_ms) = (world.clock.now(), world.clock.steady_ms());
        let abandoned = sightings.abandoned(now_ms, LEASE_MS);
        let claimed = world.journal.claim(name, &abandoned, now, 1).await;
        let claims = claimed.unwrap_or_default();
        sightings.note(claims.held, world.clock.steady_ms());
        match claims.taken.into_iter().next() {
            Some(deployment) => drive(world, shared, name, deployment).await,
            None => pause(shared, 1000).await,
        }
    }
}

async fn drive(
    world: &World<SimProvider, SimProbe, SimJournal, SimClock>,
    shared: &Arc<Shared>,
    name: &str,
    mut deployment: Deployment,
) {
    let mut watch = Stopwatch::default();
    let mut renewed_ms = world.clock.steady_ms();
    loop {
        let mut read_again = false;
        match turn(world, deployment.clone(), &mut watch).await {
            Ok(Turned::Moved(next)) => deployment = next,
            Ok(Turned::Waits(next) | Turned::Troubled(next)) => {
                deployment = next;
                pause(shared, 1000).await;
            }
            Ok(Turned::Ended(_)) => return,
            Ok(Turned::Superseded) | Err(_) => read_again = true,
        }
        let (now, now_ms) = (world.clock.now(), world.clock.steady_ms());
        if read_again || now_ms - renewed_ms > 2000 {
            match world.journal.renew(name, &deployment.id, now).await {
                Ok(Some(fresh)) => (deployment, renewed_ms) = (fresh, now_ms),
                Ok(None) => return,
                Err(_) if now_ms - renewed_ms > LEASE_MS / 2 => return,
                Err(_) => pause(shared, 1000).await,
            }
        }
    }
}
