//! Seeded stories against the emulated AWS, in virtual time: releases, roll-backs, aborts and crashes
//! in every phase, while alarms scale the group and spot instances are lost.
//!
//! A seed replays, but for the order in which the emulator hears of requests that are under way at
//! the same time.

mod checks;
mod naive;
mod play;
mod scene;

use fastrand::Rng;

use crate::{emulator::Emulator, fixture::Fixture};

/// What a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A good release.
    Release,
    /// A good release, and then the old one again.
    Return,
    /// A release whose instances never get healthy.
    Bad,
    /// A good release that AWS brings about by an instance refresh.
    Refresh,
    /// A release whose instances never get healthy, by an instance refresh.
    BadRefresh,
    /// A person aborts in this phase.
    Abort(Phase),
    /// The process dies in this phase, in the middle of a turn.
    Crash(Phase),
}

impl Scenario {
    /// AWS replaces the instances.
    pub fn refreshes(self) -> bool {
        matches!(
            self,
            Self::Refresh
                | Self::BadRefresh
                | Self::Abort(Phase::Refresh)
                | Self::Crash(Phase::Refresh)
        )
    }

    /// The release never gets healthy.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Bad | Self::BadRefresh)
    }
}

/// A part of a scale-up deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Fill,
    Bake,
    Retire,
    Refresh,
}

/// Every scenario.
pub const SCENARIOS: [Scenario; 13] = [
    Scenario::Release,
    Scenario::Return,
    Scenario::Bad,
    Scenario::Refresh,
    Scenario::BadRefresh,
    Scenario::Abort(Phase::Fill),
    Scenario::Abort(Phase::Bake),
    Scenario::Abort(Phase::Retire),
    Scenario::Abort(Phase::Refresh),
    Scenario::Crash(Phase::Fill),
    Scenario::Crash(Phase::Bake),
    Scenario::Crash(Phase::Retire),
    Scenario::Crash(Phase::Refresh),
];

/// The numbers of one story.
#[derive(Debug, Clone)]
pub struct Story {
    /// Where they came from.
    pub seed: u64,
    /// What it is about.
    pub scenario: Scenario,
    /// Instances.
    pub size: u32,
    /// The group scales itself up to this.
    pub max: Option<u32>,
    /// Zones.
    pub zones: usize,
    /// So many instances start in the first zone alone.
    pub skewed: u32,
    /// Whom the group kills first.
    pub policy: &'static str,
    /// Who dies among equals.
    pub ties: &'static str,
    /// Rebalancing was off before.
    pub rebalancing_off: bool,
    /// Another process was off before.
    pub alarms_off: bool,
    /// So many old instances are protected by somebody.
    pub protected: usize,
    /// Alarms and lost instances that come in between, at most.
    pub events: u32,
    /// Requests are throttled, fail, or lose their answers: so many of a hundred.
    pub faults: u8,
    /// Milliseconds that things take.
    pub lags: [u64; 6],
    /// Where an instance refresh waits, in percent.
    pub checkpoints: &'static [u8],
}

const POLICIES: [&str; 6] = [
    "Default",
    "OldestInstance",
    "NewestInstance",
    "OldestLaunchTemplate",
    "ClosestToNextInstanceHour",
    "AllocationStrategy",
];

impl Story {
    /// The story of `seed`.
    pub fn draw(seed: u64, scenario: Scenario) -> Self {
        let mut rng = Rng::with_seed(seed);
        let size = rng.u32(1..=7);
        let lag = |rng: &mut Rng, low: u64, high: u64| rng.u64(low..=high);
        Self {
            seed,
            scenario,
            size,
            max: rng.bool().then(|| size + rng.u32(0..=8)),
            zones: rng.usize(1..=4),
            skewed: if rng.bool() { rng.u32(0..=size) } else { 0 },
            policy: POLICIES[rng.usize(0..POLICIES.len())],
            ties: ["random", "newest", "oldest"][rng.usize(0..3)],
            rebalancing_off: rng.u8(0..4) == 0,
            alarms_off: rng.u8(0..6) == 0,
            protected: if rng.u8(0..4) == 0 {
                rng.usize(1..=3)
            } else {
                0
            },
            events: if rng.bool() { rng.u32(1..=4) } else { 0 },
            faults: if rng.u8(0..3) == 0 { rng.u8(5..=20) } else { 0 },
            lags: [
                lag(&mut rng, 2_000, 40_000),
                lag(&mut rng, 0, 20_000),
                lag(&mut rng, 1_000, 15_000),
                lag(&mut rng, 0, 30_000),
                lag(&mut rng, 500, 20_000),
                lag(&mut rng, 0, 3_000),
            ],
            checkpoints: [&[][..], &[50], &[20, 60]][rng.usize(0..3)],
        }
    }
}

/// How many stories of each scenario: few in everyday tests, all of them on demand.
fn runs() -> u64 {
    let asked = std::env::var("POINTSMAN_AWS_STORIES").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// A new process now and then keeps the emulator quick.
const STORIES_PER_EMULATOR: u64 = 50;

async fn play_all(scenario: Scenario) {
    let mut broken = Vec::new();
    let runs = runs();
    let mut calls = 0;
    for first in (0..runs).step_by(usize::try_from(STORIES_PER_EMULATOR).unwrap()) {
        let emulator = Emulator::start(first);
        let fixture = Fixture::new(&emulator, 4).await;
        for seed in first..runs.min(first + STORIES_PER_EMULATOR) {
            let story = Story::draw(seed, scenario);
            let report = play::play(&emulator, &fixture, &story).await;
            calls += report.calls;
            if !report.violations.is_empty() {
                let violations = report.violations.join("\n  ");
                let log = report.log.join("\n    ");
                broken.push(format!("{story:?}\n  {violations}\n    {log}"));
            }
        }
    }
    println!(
        "{scenario:?}: {runs} stories, {} broken, {calls} calls",
        broken.len()
    );
    assert!(
        broken.is_empty(),
        "{} broken:\n{}",
        broken.len(),
        broken.join("\n\n")
    );
}

macro_rules! scenarios {
    ($($name:ident: $scenario:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                play_all($scenario).await;
            }
        )*
    };
}

scenarios! {
    a_release_leaves_only_its_own_instances: Scenario::Release;
    a_return_leaves_only_the_old_releases_instances: Scenario::Return;
    a_bad_release_is_rolled_back: Scenario::Bad;
    a_refresh_leaves_only_its_own_instances: Scenario::Refresh;
    a_bad_refresh_is_rolled_back: Scenario::BadRefresh;
    an_abort_while_filling_restores_everything: Scenario::Abort(Phase::Fill);
    an_abort_while_baking_restores_everything: Scenario::Abort(Phase::Bake);
    an_abort_while_retiring_restores_everything: Scenario::Abort(Phase::Retire);
    an_abort_while_refreshing_restores_everything: Scenario::Abort(Phase::Refresh);
    a_crash_while_filling_loses_nothing: Scenario::Crash(Phase::Fill);
    a_crash_while_baking_loses_nothing: Scenario::Crash(Phase::Bake);
    a_crash_while_retiring_loses_nothing: Scenario::Crash(Phase::Retire);
    a_crash_while_refreshing_loses_nothing: Scenario::Crash(Phase::Refresh);
}

#[test]
fn every_scenario_is_played() {
    let source = include_str!("story.rs");
    let (_, list) = source.split_once("scenarios! {").unwrap();
    for scenario in SCENARIOS {
        let name = format!("Scenario::{scenario:?};").replace("Abort(", "Abort(Phase::");
        let name = name.replace("Crash(", "Crash(Phase::");
        assert!(list.contains(&name), "{name}");
    }
}
