//! What an engine asked for, and could not record.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use domain::{
    deployment::{Command, Deployment, Request},
    effect::{Effect, Target, Token},
    event::Event,
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    plan::{Strategy, scale_up::ScaleUp},
    reason::Waiting,
    release::Digest,
    time::UnixMs,
};
use engine::{
    ports::{
        Claims, Clock, Journal, JournalError, LeaseSeen, Probe, Provider, ProviderError, Saved,
    },
    stopwatch::Stopwatch,
    testing::{contract::launch, journal::MemoryJournal, sim::story::Story},
    turn::{Turned, World, turn},
};

const STALE_MS: u64 = 2000;

/// Time that a test lets pass.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> UnixMs {
        UnixMs(0).plus_ms(self.steady_ms())
    }
    fn steady_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A provider that shows what was there before any request, and keeps what it was asked for.
#[derive(Debug, Default)]
struct Old {
    asked: Mutex<Vec<String>>,
}

impl Provider for Old {
    async fn observe(&self, _target: &Target) -> Result<Observation, ProviderError> {
        Ok(Observation {
            stale_ms_max: STALE_MS,
            ..Observation::default()
        })
    }
    async fn apply(
        &self,
        _target: &Target,
        effect: &Effect,
        _token: &Token,
    ) -> Result<(), ProviderError> {
        self.asked.lock().unwrap().push(effect.to_string());
        Ok(())
    }
}

#[derive(Debug)]
struct NobodyAsked;

impl Probe for NobodyAsked {
    async fn ask(&self, _deployment: &Deployment, _gate: &Gate) -> Said {
        let text = String::new();
        Said::Nothing { text }
    }
}

/// What goes wrong with the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A person changes the deployment first.
    Person,
    /// It cannot be written.
    Disk,
}

#[derive(Debug, Default)]
struct Troubled {
    journal: MemoryJournal,
    next: Mutex<Option<Trouble>>,
}

impl Journal for Troubled {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        self.journal.claim(engine, abandoned, now, limit).await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.journal.renew(engine, id, now).await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.journal.release(engine, id).await
    }
    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        let trouble = self.next.lock().unwrap().take();
        match trouble {
            Some(Trouble::Disk) => {
                let message = "the disk is full".to_owned();
                return Err(JournalError { message });
            }
            Some(Trouble::Person) => {
                let mut changed = self.journal.deployment(&deployment.id).unwrap();
                for command in [Command::Pause, Command::Resume] {
                    changed = changed.command(command, "ada", UnixMs(0)).unwrap();
                    self.journal.save(&changed, &[]).await?;
                }
            }
            None => {}
        }
        self.journal.save(deployment, events).await
    }
}

struct Stage {
    world: World<Old, NobodyAsked, Troubled, Hand>,
    watch: Stopwatch,
}

impl Stage {
    /// A first deployment whose baseline is recorded.
    async fn new() -> Self {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut target = Story::draw(&mut rng).deployment.target;
        let group = &mut target.group;
        (group.size, group.autoscaling, group.size_limit) = (2, None, None);
        let request = Request {
            id: id(),
            target,
            strategy: Strategy::ScaleUp(ScaleUp::default()),
            launch: launch("l1", "1.0.0", Digest::from_bytes([1; 32])),
            stable: None,
            requested_by: "ada".to_owned(),
            requested_at: UnixMs(0),
        };
        let journal = Troubled::default();
        let deployment = Deployment::new(request, &Observation::default());
        journal.journal.begin(deployment);
        let mut stage = Self {
            world: World {
                provider: Old::default(),
                probe: NobodyAsked,
                journal,
                clock: Hand::default(),
            },
            watch: Stopwatch::default(),
        };
        stage.turn().await.unwrap();
        stage
    }

    async fn turn(&mut self) -> Result<Turned, JournalError> {
        let deployment = self.world.journal.journal.deployment(&id()).unwrap();
        turn(&self.world, deployment, &mut self.watch).await
    }

    fn asked(&self) -> usize {
        self.world.provider.asked.lock().unwrap().len()
    }

    fn pass(&self, ms: u64) {
        self.world.clock.0.fetch_add(ms, Ordering::Relaxed);
    }
}

fn id() -> DeploymentId {
    DeploymentId("d1".to_owned())
}

#[tokio::test]
async fn a_request_that_could_not_be_recorded_is_looked_for_before_the_next_one() {
    for trouble in [Trouble::Person, Trouble::Disk] {
        let mut stage = Stage::new().await;
        *stage.world.journal.next.lock().unwrap() = Some(trouble);
        let turned = stage.turn().await;
        match trouble {
            Trouble::Person => assert_eq!(turned.unwrap(), Turned::Superseded),
            Trouble::Disk => assert_eq!(turned.unwrap_err().message, "the disk is full"),
        }
        assert_eq!(stage.asked(), 1, "{trouble:?}");
        for _ in 0..3 {
            stage.pass(STALE_MS / 4);
            let turned = stage.turn().await.unwrap();
            let Turned::Waits(deployment) = turned else {
                panic!("{trouble:?}: {turned:?}");
            };
            let stale_ms_max = STALE_MS;
            assert_eq!(
                deployment.waiting,
                Some(Waiting::Confirming { stale_ms_max })
            );
        }
        assert_eq!(stage.asked(), 1, "{trouble:?}: every look may be old");
        stage.pass(STALE_MS + 1);
        stage.turn().await.unwrap();
        assert_eq!(stage.asked(), 2, "{trouble:?}: it is not seen to be done");
    }
}

/// That an engine took a deployment over is kept in mind until it is recorded.
#[tokio::test]
async fn who_takes_over_asks_for_nothing_until_that_is_recorded() {
    let mut stage = Stage::new().await;
    stage.watch = Stopwatch::default();
    *stage.world.journal.next.lock().unwrap() = Some(Trouble::Disk);
    assert_eq!(stage.turn().await.unwrap_err().message, "the disk is full");
    stage.pass(STALE_MS / 2);
    let turned = stage.turn().await.unwrap();
    assert!(matches!(turned, Turned::Waits(_)), "{turned:?}");
    assert_eq!(stage.asked(), 0);
}
