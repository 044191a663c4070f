//! Plays a story: the real provider and the real turn, a clock that stands still between turns.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::{
    catalogue::ServerGroup,
    deployment::{Command, Course, Deployment, Outcome, Request},
    effect::Target,
    event::{self, Event},
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    plan::{Step, Strategy, instance_refresh::InstanceRefresh, scale_up::ScaleUp},
    release::{ImageId, Launch},
    slice::Slice,
    time::UnixMs,
};
use engine::{
    ports::{Claims, Clock, Journal, JournalError, LeaseSeen, Probe, Provider, Saved},
    stopwatch::Stopwatch,
    testing::journal::MemoryJournal,
    turn::{Turned, World, turn},
};
use fastrand::Rng;
use provider_aws::Aws;
use serde_json::json;

use super::{
    Phase, Scenario, Story,
    checks::{self, Expected},
    scene::{self, Prepared, faults, launch_of},
};
use crate::{
    emulator::{EmulatedClock, Emulator, settings},
    fixture::Fixture,
};

/// What a story came to.
pub struct Report {
    /// What was broken.
    pub violations: Vec<String>,
    /// What people saw.
    pub log: Vec<String>,
    /// Calls to AWS.
    pub calls: u64,
}

/// Between two looks while nothing moves, in milliseconds.
const PAUSE_MS: u64 = 4000;
/// A story that takes longer is broken, in milliseconds.
const END_MS: u64 = 3 * 3_600_000;

/// A journal that loses its database once, at the worst moment.
#[derive(Debug)]
struct Flaky {
    inner: Arc<MemoryJournal>,
    fails: Arc<AtomicBool>,
}

impl Journal for Flaky {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        self.inner.claim(engine, abandoned, now, limit).await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.inner.renew(engine, id, now).await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.inner.release(engine, id).await
    }
    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        if self.fails.swap(false, Ordering::SeqCst) {
            let message = "the process died before it could save".to_owned();
            return Err(JournalError { message });
        }
        self.inner.save(deployment, events).await
    }
}

/// Nobody has gates here.
#[derive(Debug)]
struct NoProbe;

impl Probe for NoProbe {
    async fn ask(&self, _: &Deployment, _: &Gate) -> Said {
        Said::Nothing {
            text: "nobody is asked".to_owned(),
        }
    }
}

/// The stage of one story.
struct Stage<'a> {
    emulator: &'a Emulator,
    story: &'a Story,
    rng: Rng,
    name: String,
    target: Target,
    journal: Arc<MemoryJournal>,
    fails: Arc<AtomicBool>,
    world: World<Aws, NoProbe, Flaky, EmulatedClock>,
    checker: checks::Checker,
    calls: u64,
}

/// Plays `story`.
pub async fn play(emulator: &Emulator, fixture: &Fixture, story: &Story) -> Report {
    let Prepared { name, old, new } = scene::prepare(emulator, fixture, story).await;
    let mut stage = Stage::new(emulator, story, name);
    let stable = stage.stable().await;
    let outcome = match story.scenario {
        it if it.is_bad() => Outcome::RolledBack,
        Scenario::Abort(_) => Outcome::Aborted,
        _ => Outcome::Succeeded,
    };
    let first = launch_of("2.0.0", &new);
    emulator.control("faults", &faults(story));
    let (mut log, live) = stage.deploy((&first, &new), (&stable, &old), outcome).await;
    if story.scenario == Scenario::Return && live && stage.checker.violations.is_empty() {
        let back = launch_of("1.0.0", &old);
        let second = stage.deploy((&back, &old), (&first, &new), Outcome::Succeeded);
        log.extend(second.await.0);
    }
    emulator.control("faults", &json!([]));
    let violations = std::mem::take(&mut stage.checker.violations);
    if !violations.is_empty() {
        log.push(format!("{:#}", emulator.truth(&stage.name)));
    }
    emulator.forget(&stage.name);
    Report {
        violations,
        log,
        calls: stage.calls(),
    }
}

impl<'a> Stage<'a> {
    fn new(emulator: &'a Emulator, story: &'a Story, name: String) -> Self {
        let bounds = story.max.map(|max| json!({"min": story.size, "max": max}));
        let group: ServerGroup = serde_json::from_value(json!({
            "service": "shop", "environment": "live", "size": story.size, "autoscaling": bounds,
            "aws": {"account": "emulated", "groups": [name]},
        }))
        .unwrap();
        let target = Target::new(group.place(), group, Some(emulator.account()));
        let journal = Arc::new(MemoryJournal::default());
        let fails = Arc::new(AtomicBool::new(false));
        Self {
            world: world(emulator, &journal, &fails),
            checker: checks::Checker::new(story),
            rng: Rng::with_seed(story.seed ^ 0x5eed),
            calls: 0,
            emulator,
            story,
            name,
            target,
            journal,
            fails,
        }
    }

    /// What the group runs before Pointsman ever touched it.
    async fn stable(&mut self) -> Launch {
        let seen = self.look().await;
        seen.slice(Slice::Blue)
            .launches
            .clone()
            .expect("the group launches something")
    }

    /// A look, as often as faults make it necessary.
    async fn look(&self) -> Observation {
        loop {
            match self.world.provider.observe(&self.target).await {
                Ok(seen) => return seen,
                Err(error) => assert!(error.kind.is_transient(), "{error}"),
            }
        }
    }

    /// The process dies: everything that it remembered is gone.
    fn restart(&mut self) {
        self.calls = self.calls();
        self.world = world(self.emulator, &self.journal, &self.fails);
    }

    fn calls(&self) -> u64 {
        let account = self.target.account.as_ref().unwrap();
        self.calls
            + self
                .world
                .provider
                .calls(&account.name)
                .values()
                .sum::<u64>()
    }

    /// Plays one deployment. Says what happened where something is broken, and whether the release is
    /// live.
    async fn deploy(
        &mut self,
        (launch, image): (&Launch, &ImageId),
        (stable, stable_image): (&Launch, &ImageId),
        outcome: Outcome,
    ) -> (Vec<String>, bool) {
        let seen = self.look().await;
        for why in &seen.slice(Slice::Blue).obstacles {
            self.checker
                .broken(format!("an obstacle where there is none: {why}"));
        }
        let strategy = if self.story.scenario.refreshes() {
            Strategy::InstanceRefresh(InstanceRefresh {
                health_deadline_seconds: 180,
                checkpoints: self.story.checkpoints.to_vec(),
                checkpoint_delay_seconds: 60,
                ..InstanceRefresh::default()
            })
        } else {
            Strategy::ScaleUp(ScaleUp {
                bake_seconds: 10,
                health_deadline_seconds: 180,
                ..ScaleUp::default()
            })
        };
        let request = Request {
            id: DeploymentId(format!("deployment-{}", launch.version)),
            target: self.target.clone(),
            strategy,
            launch: launch.clone(),
            stable: Some(stable.clone()),
            requested_by: "ada".to_owned(),
            requested_at: self.world.clock.now(),
        };
        let id = request.id.clone();
        let before = self.emulator.truth(&self.name);
        self.emulator.control("log/reset", &json!({}));
        self.journal.begin(Deployment::new(request, &seen));
        let acted = self.drive(&id).await;
        // Whatever is still dying goes away.
        self.emulator.advance(60_000);
        let row = self.journal.row(&id).unwrap();
        let after = self.emulator.truth(&self.name);
        let log = self.emulator.log(&self.name);
        self.checker.capacity(&log);
        let outcome = if self.checker.excused(&row.deployment, image, &log) {
            Outcome::RolledBack
        } else if outcome == Outcome::Aborted && !acted {
            // The phase was over before anybody could abort.
            Outcome::Succeeded
        } else {
            outcome
        };
        let live = outcome == Outcome::Succeeded;
        let survivors = if live { image } else { stable_image };
        let expected = Expected { outcome, survivors };
        self.checker
            .at_the_end(&row.deployment, expected, &before, &after);
        let events = row
            .events
            .iter()
            .map(|event| format!("{:>9} {}", event.at.0 % 100_000_000, event.message));
        let log = log.iter().map(ToString::to_string);
        let log = if self.checker.violations.is_empty() {
            Vec::new()
        } else {
            events.chain(log).collect()
        };
        (log, live)
    }

    /// Takes turns until the deployment ends. Says whether the story's own event took place.
    async fn drive(&mut self, id: &DeploymentId) -> bool {
        let end = self.world.clock.now().0 + i64::try_from(END_MS).unwrap();
        let (mut acted, mut watch) = (false, Stopwatch::default());
        let mut events_left = self.story.events;
        let mut in_phase = 0;
        // Which turn of the phase it happens in.
        let at_turn = self.rng.u32(1..=6);
        while self.world.clock.now().0 < end {
            let deployment = self.journal.deployment(id).unwrap();
            if deployment.ending.is_some() {
                return acted;
            }
            if let Some(wanted) = self.phase_of_interest()
                && !acted
                && phase(&deployment) == Some(wanted)
            {
                in_phase += 1;
                if in_phase == at_turn || (wanted != Phase::Fill && in_phase == at_turn.min(2)) {
                    acted = true;
                    self.act(&deployment).await;
                    continue;
                }
            }
            if events_left > 0 && self.rng.u8(0..12) == 0 {
                events_left -= 1;
                self.event();
            }
            let pause_ms = match turn(&self.world, deployment, &mut watch).await {
                Ok(Turned::Moved(_)) => 200,
                Ok(_) => PAUSE_MS,
                Err(_) => {
                    self.restart();
                    watch = Stopwatch::default();
                    30_000
                }
            };
            self.emulator.advance(pause_ms);
        }
        self.checker.broken("the deployment never ended".to_owned());
        acted
    }

    fn phase_of_interest(&self) -> Option<Phase> {
        match self.story.scenario {
            Scenario::Abort(phase) | Scenario::Crash(phase) => Some(phase),
            _ => None,
        }
    }

    async fn act(&mut self, deployment: &Deployment) {
        if let Scenario::Crash(_) = self.story.scenario {
            self.fails.store(true, Ordering::SeqCst);
            return;
        }
        let now = self.world.clock.now();
        let command = Command::Abort {
            reason: "the story says so".to_owned(),
        };
        match deployment.clone().command(command.clone(), "ada", now) {
            Ok(after) => {
                let events = event::of_command(&command, "ada", &after, now);
                self.journal.save(&after, &events).await.unwrap();
            }
            Err(refused) => self
                .checker
                .broken(format!("the abort was refused: {refused}")),
        }
    }

    /// Something happens that nobody asked for.
    fn event(&mut self) {
        let spot = self.rng.bool();
        let event = if spot {
            json!({"kind": "spot_loss", "group": self.name})
        } else {
            let change = [-2, -1, 1, 2][self.rng.usize(0..4)];
            json!({"kind": "alarm", "group": self.name, "change": change})
        };
        self.emulator.control("event", &event);
    }
}

fn world(
    emulator: &Emulator,
    journal: &Arc<MemoryJournal>,
    fails: &Arc<AtomicBool>,
) -> World<Aws, NoProbe, Flaky, EmulatedClock> {
    World {
        provider: Aws::new(Arc::new(emulator.clock()), settings(), std::env::temp_dir()),
        probe: NoProbe,
        journal: Flaky {
            inner: Arc::clone(journal),
            fails: Arc::clone(fails),
        },
        clock: emulator.clock(),
    }
}

fn phase(deployment: &Deployment) -> Option<Phase> {
    let forward = deployment.progress.course == Course::Forward;
    match deployment
        .step()
        .filter(|_| forward && deployment.baseline.is_some())?
    {
        Step::Fill(_) => Some(Phase::Fill),
        Step::Bake(_) => Some(Phase::Bake),
        Step::Retire(_) => Some(Phase::Retire),
        Step::Refresh(_) => Some(Phase::Refresh),
        Step::Shift(_) | Step::EndRefresh(_) => None,
    }
}
