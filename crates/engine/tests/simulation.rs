//! Simulated stories: a fixed corpus, so that a change of behaviour shows, and fresh ones each run,
//! so that luck runs out.

use std::time::{SystemTime, UNIX_EPOCH};

use engine::testing::sim::play;

/// How many stories of each kind are played here; `cargo xtask sim` plays ten thousand.
const STORIES: u64 = 300;

fn all_is_well(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let report = play(seed);
        assert!(
            report.violations.is_empty(),
            "replay with `cargo xtask sim {seed}`: {}\n{}",
            report.title,
            report.violations.join("\n")
        );
    }
}

#[test]
fn the_corpus_is_safe_and_ends() {
    all_is_well(0..STORIES);
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
