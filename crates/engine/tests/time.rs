//! Turns under clocks that people set: what a deployment waits for is measured in its own time.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use domain::{
    deployment::{Deployment, Outcome, Request},
    effect::{Effect, Target, Token},
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    plan::{Step, Strategy, scale_up::ScaleUp},
    release::Digest,
    time::UnixMs,
};
use engine::{
    ports::{Clock, Probe, Provider, ProviderError},
    stopwatch::Stopwatch,
    testing::{
        cloud::Lags, contract::launch, fleet::Fleet, journal::MemoryJournal, sim::story::Story,
    },
    turn::{Turned, World, turn},
};

/// The two clocks of a machine, in milliseconds.
#[derive(Debug, Default)]
struct Clocks {
    wall: i64,
    steady: u64,
}

/// Clocks that a test moves.
#[derive(Debug, Clone)]
struct Hand(Arc<Mutex<Clocks>>);

impl Hand {
    fn pass(&self, ms: u64) {
        let mut clocks = self.0.lock().unwrap();
        clocks.steady += ms;
        clocks.wall += i64::try_from(ms).unwrap();
    }
    fn set(&self, by_ms: i64) {
        self.0.lock().unwrap().wall += by_ms;
    }
}

impl Clock for Hand {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.lock().unwrap().wall)
    }
    fn steady_ms(&self) -> u64 {
        self.0.lock().unwrap().steady
    }
}

/// The cloud's clock, which nobody sets.
#[derive(Debug, Clone)]
struct Clouds(Hand);

impl Clock for Clouds {
    fn now(&self) -> UnixMs {
        UnixMs(0).plus_ms(self.0.steady_ms())
    }
    fn steady_ms(&self) -> u64 {
        self.0.steady_ms()
    }
}

/// A fleet whose next look takes a while to arrive.
#[derive(Debug)]
struct Slow {
    fleet: Fleet<Clouds>,
    hand: Hand,
    /// How much time passes meanwhile, and by how much the wall clock is set, in milliseconds.
    meanwhile: Mutex<(u64, i64)>,
}

impl Provider for Slow {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let seen = self.fleet.observe(target).await;
        let (pass_ms, set_ms) = std::mem::take(&mut *self.meanwhile.lock().unwrap());
        self.hand.pass(pass_ms);
        self.hand.set(set_ms);
        seen
    }
    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.fleet.apply(target, effect, token).await
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

const LAGS: Lags = Lags {
    boot: 4000,
    boot_spread: 0,
    react: 100,
    stop: 500,
    replace: 500,
    weights: 0,
};
const BAKE_SECONDS: u32 = 20;
const PAUSE_MS: u64 = 500;

struct Stage {
    world: World<Slow, NobodyAsked, MemoryJournal, Hand>,
    watch: Stopwatch,
    id: DeploymentId,
}

impl Stage {
    /// A first deployment with a bake of 20 s.
    fn new() -> Self {
        let wall = 1_700_000_000_000;
        let hand = Hand(Arc::new(Mutex::new(Clocks { wall, steady: 0 })));
        let mut rng = fastrand::Rng::with_seed(3);
        let mut target = Story::draw(&mut rng).deployment.target;
        let group = &mut target.group;
        (group.size, group.autoscaling, group.size_limit) = (2, None, None);
        let id = DeploymentId("d1".to_owned());
        let strategy = Strategy::ScaleUp(ScaleUp {
            bake_seconds: BAKE_SECONDS,
            health_deadline_seconds: 30,
            ..ScaleUp::default()
        });
        let request = Request {
            id: id.clone(),
            target,
            strategy,
            launch: launch("l1", "1.0.0", Digest::from_bytes([1; 32])),
            stable: None,
            requested_by: "ada".to_owned(),
            requested_at: hand.now(),
        };
        let journal = MemoryJournal::default();
        journal.begin(Deployment::new(request, &Observation::default()));
        let provider = Slow {
            fleet: Fleet::new(Clouds(hand.clone()), LAGS),
            hand: hand.clone(),
            meanwhile: Mutex::new((0, 0)),
        };
        Self {
            world: World {
                provider,
                probe: NobodyAsked,
                journal,
                clock: hand,
            },
            watch: Stopwatch::default(),
            id,
        }
    }

    fn deployment(&self) -> Deployment {
        self.world.journal.deployment(&self.id).unwrap()
    }

    async fn turn(&mut self) -> Turned {
        turn(&self.world, self.deployment(), &mut self.watch)
            .await
            .unwrap()
    }

    /// Takes turns until `stop` says so; how long that took, in milliseconds.
    async fn until(&mut self, stop: impl Fn(&Deployment) -> bool) -> u64 {
        let began = self.world.clock.steady_ms();
        for _ in 0..10_000 {
            if stop(&self.deployment()) {
                return self.world.clock.steady_ms() - began;
            }
            self.turn().await;
            self.world.clock.pass(PAUSE_MS);
        }
        panic!("it never came: {:#?}", self.deployment());
    }

    /// The engine dies and another one goes on so much later.
    fn restart(&mut self, after_ms: u64) {
        self.watch = Stopwatch::default();
        self.world.clock.pass(after_ms);
    }

    fn messages(&self) -> Vec<String> {
        let events = self.world.journal.row(&self.id).unwrap().events;
        events.into_iter().map(|event| event.message).collect()
    }
}

fn bakes(deployment: &Deployment) -> bool {
    matches!(deployment.step(), Some(Step::Bake(_))) && deployment.progress.held.is_some()
}

fn ended(deployment: &Deployment) -> bool {
    deployment.ending.is_some()
}

const BAKE_MS: u64 = BAKE_SECONDS as u64 * 1000;

#[tokio::test]
async fn a_clock_that_is_set_neither_cuts_a_bake_nor_holds_it() {
    for (by_ms, told) in [
        (
            7_200_000,
            "the clock of the server moved forward by 2 h; the bake begins again",
        ),
        (
            -7_200_000,
            "the clock of the server moved back by 2 h; the bake begins again",
        ),
    ] {
        let mut stage = Stage::new();
        stage.until(bakes).await;
        for _ in 0..10 {
            stage.turn().await;
            stage.world.clock.pass(PAUSE_MS);
        }
        stage.world.clock.set(by_ms);
        let took_ms = stage.until(ended).await;
        assert!(
            (BAKE_MS..BAKE_MS + 2000).contains(&took_ms),
            "{by_ms}: the bake began again and took {took_ms} ms more"
        );
        let ending = stage.deployment().ending.unwrap();
        assert_eq!(ending.outcome, Outcome::Succeeded);
        assert!(
            stage.messages().iter().any(|it| it == told),
            "{:#?}",
            stage.messages()
        );
    }
}

#[tokio::test]
async fn a_clock_that_is_set_does_not_fail_a_release_that_starts() {
    for by_ms in [-5000, -60_000, -3_600_000, 400_000, 3_600_000] {
        let mut stage = Stage::new();
        for _ in 0..4 {
            stage.turn().await;
            stage.world.clock.pass(PAUSE_MS);
        }
        stage.world.clock.set(by_ms);
        stage.until(ended).await;
        let ending = stage.deployment().ending.unwrap();
        assert_eq!(ending.outcome, Outcome::Succeeded, "{by_ms}");
    }
}

#[tokio::test]
async fn a_deadline_survives_restarts_and_counts_no_time_of_nobody() {
    let mut stage = Stage::new();
    let lame = engine::testing::cloud::Behaviour::Broken;
    let launched = stage.deployment().launch.id;
    stage.world.provider.fleet.behave(launched, lame);
    for _ in 0..40 {
        stage.turn().await;
        stage.world.clock.pass(PAUSE_MS);
    }
    stage.restart(3_600_000);
    stage.world.clock.set(-90_000_000);
    let failed = |deployment: &Deployment| deployment.failure.is_some();
    let took_ms = stage.until(failed).await;
    assert!(
        (10_000..=10_000 + engine::stopwatch::STORED_EVERY_MS + 1000).contains(&took_ms),
        "20 s of 30 s were over before; it took {took_ms} ms more"
    );
}

#[tokio::test]
async fn a_bake_is_taken_up_again_where_it_was() {
    let mut stage = Stage::new();
    stage.until(bakes).await;
    for _ in 0..24 {
        stage.turn().await;
        stage.world.clock.pass(PAUSE_MS);
    }
    stage.restart(600_000);
    let took_ms = stage.until(ended).await;
    assert!(
        (8000..=BAKE_MS - 12_000 + engine::stopwatch::STORED_EVERY_MS + 1000).contains(&took_ms),
        "12 s of 20 s were over before; it took {took_ms} ms more"
    );
}

#[tokio::test]
async fn nothing_is_ended_on_an_old_look() {
    let frozen = (60_000, 0);
    let asleep = (0, 8 * 3_600_000);
    let mut stage = Stage::new();
    stage
        .until(|it| it.progress.at == it.progress.steps.len())
        .await;
    let before = stage.deployment();
    for meanwhile in [frozen, asleep] {
        *stage.world.provider.meanwhile.lock().unwrap() = meanwhile;
        assert_eq!(stage.turn().await, Turned::Superseded);
        assert_eq!(stage.deployment(), before);
    }
    stage.until(ended).await;
}
