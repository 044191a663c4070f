//! The runner in virtual time: it drives many deployments, hears wake-ups, and leaves cleanly.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    deployment::{Command, Deployment, Outcome, Request},
    effect::{Effect, Target, Token},
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    release::{Digest, LaunchId},
    time::UnixMs,
    versions::Versions,
};
use engine::{
    ports::{
        Claims, Clock, ErrorKind, Journal, JournalError, LeaseSeen, Probe, Provider, ProviderError,
        Saved,
    },
    runner::{Runner, RunnerConfig, TurnMeter},
    testing::{
        cloud::{Behaviour, Lags},
        contract::launch,
        fleet::Fleet,
        journal::MemoryJournal,
        sim::story::Story,
    },
    turn::Turned,
};
use tokio::{sync::oneshot, time::Instant};

/// Virtual time of the paused runtime.
#[derive(Debug, Clone, Copy)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> UnixMs {
        UnixMs(1_000_000).plus_ms(self.steady_ms())
    }
    fn steady_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

#[derive(Debug, Clone)]
struct SharedJournal(Arc<MemoryJournal>);

impl Journal for SharedJournal {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        self.0.claim(engine, abandoned, now, limit).await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.0.renew(engine, id, now).await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.0.release(engine, id).await
    }
    async fn save(
        &self,
        deployment: &Deployment,
        events: &[domain::event::Event],
    ) -> Result<Saved, JournalError> {
        self.0.save(deployment, events).await
    }
}

/// A fleet that can be unreachable for a while.
#[derive(Debug, Clone)]
struct SharedFleet(Arc<Fleet<Paused>>, Option<Instant>);

impl Provider for SharedFleet {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        if self.1.is_some_and(|until| Instant::now() < until) {
            return Err(ProviderError::new(ErrorKind::Unavailable, "nobody answers"));
        }
        self.0.observe(target).await
    }
    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.0.apply(target, effect, token).await
    }
}

const LAGS: Lags = Lags {
    boot: 2000,
    boot_spread: 1000,
    react: 100,
    stop: 500,
    replace: 500,
    weights: 100,
};

struct Stage {
    journal: Arc<MemoryJournal>,
    fleet: Arc<Fleet<Paused>>,
    clock: Paused,
}

impl Stage {
    fn new() -> Self {
        let clock = Paused(Instant::now());
        let journal = Arc::new(MemoryJournal::default());
        Self {
            journal,
            fleet: Arc::new(Fleet::new(clock, LAGS)),
            clock,
        }
    }

    /// Begins a first deployment of its own service.
    fn begin(&self, number: u32) -> DeploymentId {
        let mut target = Story::draw(&mut fastrand::Rng::with_seed(3))
            .deployment
            .target;
        target.place.service = format!("service-{number}").parse().unwrap();
        (
            target.group.size,
            target.group.autoscaling,
            target.group.size_limit,
        ) = (2, None, None);
        let id = DeploymentId(format!("d{number:04}"));
        let strategy = Story::draw(&mut fastrand::Rng::with_seed(3))
            .deployment
            .strategy;
        let request = Request {
            id: id.clone(),
            target,
            strategy,
            launch: launch(&format!("l{number}"), "1.0.0", Digest::from_bytes([1; 32])),
            stable: None,
            requested_by: "test".into(),
            requested_at: self.clock.now(),
        };
        self.journal
            .begin(Deployment::new(request, &Observation::default()));
        id
    }

    fn runner(
        &self,
        down_until: Option<Instant>,
    ) -> Runner<SharedFleet, NobodyAsked, SharedJournal, Paused> {
        let provider = SharedFleet(Arc::clone(&self.fleet), down_until);
        let journal = SharedJournal(Arc::clone(&self.journal));
        Runner::new(
            provider,
            NobodyAsked,
            journal,
            self.clock,
            RunnerConfig::named("test"),
        )
    }

    async fn until_ended(&self, id: &DeploymentId) -> Deployment {
        for _ in 0..100_000 {
            let deployment = self.journal.deployment(id).unwrap();
            if deployment.ending.is_some() {
                return deployment;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!(
            "deployment {id} never ended: {:?}",
            self.journal.deployment(id)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn drives_many_deployments_side_by_side() {
    let stage = Stage::new();
    let ids: Vec<DeploymentId> = (0..50).map(|number| stage.begin(number)).collect();
    let runner = stage.runner(None);
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    let started = Instant::now();
    for id in &ids {
        let outcome = stage.until_ended(id).await.ending.unwrap().outcome;
        assert_eq!(outcome, Outcome::Succeeded);
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "side by side, not one after the other"
    );
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_makes_a_command_count_at_once() {
    let stage = Stage::new();
    let id = stage.begin(1);
    stage.fleet.behave(LaunchId("l1".into()), Behaviour::Broken);
    let runner = stage.runner(None);
    let waker = runner.waker();
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    tokio::time::sleep(Duration::from_secs(3)).await;

    let deployment = stage.journal.deployment(&id).unwrap();
    assert!(
        deployment.waiting.is_some(),
        "it waits for instances that never become healthy"
    );
    let abort = Command::Abort {
        reason: "broken".into(),
    };
    let aborted = deployment.command(abort, "ada", stage.clock.now()).unwrap();
    let at = stage.clock.now();
    assert_eq!(
        stage.journal.save(&aborted, &[]).await.unwrap(),
        Saved::Stored
    );
    waker.wake();
    let ending = stage.until_ended(&id).await.ending.unwrap();
    assert_eq!(ending.outcome, Outcome::Aborted);
    assert!(
        ending.at.since_ms(at) < 2000,
        "the way back began at once, not at the next renewal"
    );
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_provider_is_waited_out_and_said() {
    let stage = Stage::new();
    let id = stage.begin(1);
    let runner = stage.runner(Some(Instant::now() + Duration::from_secs(300)));
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    tokio::time::sleep(Duration::from_secs(200)).await;
    let waiting = stage
        .journal
        .deployment(&id)
        .unwrap()
        .waiting
        .unwrap()
        .sentence(&Versions::default());
    assert_eq!(waiting, "the provider failed: nobody answers; trying again");
    let outcome = stage.until_ended(&id).await.ending.unwrap().outcome;
    assert_eq!(outcome, Outcome::Succeeded);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stops_gives_its_leases_back() {
    let stage = Stage::new();
    let id = stage.begin(1);
    stage.fleet.behave(LaunchId("l1".into()), Behaviour::Broken);
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = stage.runner(None);
    let running = tokio::spawn(async move { runner.run(async { drop(stopped.await) }).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.send(()).unwrap();
    running.await.unwrap();
    let claimed = stage
        .journal
        .claim("other", &[], stage.clock.now(), 10)
        .await
        .unwrap()
        .taken;
    assert_eq!(claimed.len(), 1, "another engine can go on at once");
    assert_eq!(claimed[0].id, id);
}

/// No gate of these stories asks the world outside.
#[derive(Debug)]
struct NobodyAsked;

impl Probe for NobodyAsked {
    async fn ask(&self, _: &Deployment, gate: &Gate) -> Said {
        unreachable!("{gate} was asked")
    }
}

/// Remembers how turns went.
#[derive(Debug, Clone, Default)]
struct Meter(Arc<Mutex<Vec<(bool, Duration)>>>);

impl TurnMeter for Meter {
    fn turned(&self, turned: &Result<Turned, JournalError>, took: Duration) {
        let ended = matches!(turned, Ok(Turned::Ended(_)));
        self.0.lock().unwrap().push((ended, took));
    }
}

#[tokio::test(start_paused = true)]
async fn a_meter_hears_of_every_turn() {
    let stage = Stage::new();
    let id = stage.begin(1);
    let meter = Meter::default();
    let runner = stage.runner(None).metered(meter.clone());
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    stage.until_ended(&id).await;
    let turns = meter.0.lock().unwrap().clone();
    assert!(turns.len() > 5, "{turns:?}");
    let ended: Vec<bool> = turns.iter().map(|(ended, _)| *ended).collect();
    assert_eq!(ended.iter().position(|it| *it), Some(turns.len() - 1));
    running.abort();
}
