//! Simulated stories: a fixed corpus, so that a change of behaviour shows, and fresh ones each run,
//! so that luck runs out.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::{catalogue::StrategyKind, deployment::Command};
use engine::testing::{
    faults::Faults,
    sim::{
        Report, play, play_with,
        story::{InStep, Story},
    },
};

/// How many stories of each kind are played here; `cargo xtask sim` plays ten thousand.
const STORIES: u64 = 300;

fn all_is_well(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        is_well(&play(seed));
    }
}

fn is_well(report: &Report) {
    assert!(
        report.violations.is_empty(),
        "replay with `cargo xtask sim {}`: {}\n{}\n{}",
        report.seed,
        report.title,
        report.log.join("\n"),
        report.violations.join("\n")
    );
}

/// The first story in which a release takes the place of another by `kind`, with fresh looks or old ones.
fn story_of(kind: StrategyKind, fresh: bool) -> (u64, Story) {
    let draw = |seed| (seed, Story::draw(&mut fastrand::Rng::with_seed(seed)));
    let suits = |(_, story): &(u64, Story)| {
        let deployment = &story.deployment;
        let replaces = deployment.strategy.kind() == kind && deployment.stable.is_some();
        replaces && story.stable_is_good && (story.stale_ms == 0) == fresh
    };
    (0..10_000).map(draw).find(suits).expect("there is one")
}

/// The way back begins at any moment: in every step, early and late, whoever is leaving just then.
#[test]
fn every_step_of_every_strategy_can_be_turned_round() {
    let kinds = [
        StrategyKind::ScaleUp,
        StrategyKind::InstanceRefresh,
        StrategyKind::BlueGreen,
        StrategyKind::Canary,
        StrategyKind::Switch,
    ];
    for (kind, fresh) in kinds
        .into_iter()
        .flat_map(|kind| [(kind, true), (kind, false)])
    {
        let (seed, story) = story_of(kind, fresh);
        for step in 0..=story.deployment.plan.steps.len() {
            for after_ms in [0, 500, 1000, 1500, 2500, 4000, 8000] {
                let reason = "because".to_owned();
                let abort = InStep::new(step, after_ms, Command::Abort { reason });
                is_well(&play_with(seed, |story| {
                    (story.faults, story.calm) = (Faults::NONE, false);
                    story.commands.clear();
                    story.in_step = Some(abort);
                }));
            }
        }
    }
}

#[test]
fn the_corpus_is_safe_and_ends() {
    all_is_well(0..STORIES);
}

/// Stories that fresh seeds broke, each of a kind of its own.
#[test]
fn what_broke_once_is_safe() {
    all_is_well([1_796_086_815_405_172, 1_796_086_815_593_362].into_iter());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "fresh seeds come from the clock; each can be replayed"
)]
fn fresh_stories_are_safe_and_end() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    let from = now.as_secs() * 1000;
    all_is_well(from..from + STORIES);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        assert_eq!(play(seed).log, play(seed).log, "seed {seed} played twice");
    }
}
