//! Whole releases in a simulated service, looked at every second. `cargo xtask bench gates` is the same
//! with ten thousand of them, next to other rules.

#[path = "../examples/gates/world.rs"]
mod world;

use domain::{
    evidence::{Comparison, Conclusion, Stretch, Tolerance},
    percent::Percent,
    traffic::Traffic,
};
use world::{Fault, Service, World, binomial};

const GOOD: Fault = Fault {
    errors: 1.0,
    latency: 1.0,
};

fn add(comparison: &mut Comparison, new: &Traffic, stable: &Traffic) {
    comparison.add(&Stretch {
        new,
        stable,
        lasted_ms: 1000,
    });
}

fn world((seed, fault, drift): (u64, Fault, f64)) -> World {
    let service = Service {
        requests: 600.0,
        errors: 0.01,
        drift,
    };
    World::new(seed, service, fault)
}

/// When the first verdict came and which, if one came, looking every second.
fn first_verdict(
    release: (u64, Fault, f64),
    tolerance: &Tolerance,
    shares: &[f64],
) -> Option<(u32, Conclusion)> {
    let mut world = world(release);
    let mut comparison = Comparison::new(tolerance.clone(), 0);
    (0..).zip(shares).find_map(|(t, share)| {
        let (new, stable) = world.second(t, *share);
        add(&mut comparison, &new, &stable);
        Some((t, comparison.settled(1)?))
    })
}

/// Whether the release was found worse at any look, whatever was found before.
fn stopped(seed: u64, tolerance: &Tolerance, shares: &[f64]) -> bool {
    let mut world = world((seed, GOOD, 1.0));
    let mut comparison = Comparison::new(tolerance.clone(), 0);
    (0..).zip(shares).any(|(t, share)| {
        let (new, stable) = world.second(t, *share);
        add(&mut comparison, &new, &stable);
        comparison.settled(1) == Some(Conclusion::Worse)
    })
}

/// 1, 5, 10 and 50 percent, for as many seconds each.
fn widening(seconds: usize) -> Vec<f64> {
    let shares = [0.01, 0.05, 0.1, 0.5];
    shares
        .into_iter()
        .flat_map(|share| std::iter::repeat_n(share, seconds))
        .collect()
}

#[test]
fn a_release_like_stable_is_hardly_ever_stopped() {
    // Without any margin, so that it is the chance of a false stop that is tested, not the margin.
    let tolerance = Tolerance {
        error_margin_points: Percent::hundredths(0),
        error_margin_percent_of_stable: 0,
        latency_margin_percent: 0,
        ..Tolerance::default()
    };
    let shares = widening(30);
    let stops = (0..1_000)
        .filter(|seed| stopped(*seed, &tolerance, &shares))
        .count();

    assert!(stops <= 10, "{stops} of 1,000 were stopped");
}

#[test]
fn a_release_like_stable_passes_at_the_first_share() {
    for seed in 0..20 {
        let first = first_verdict((seed, GOOD, 1.0), &Tolerance::default(), &[0.05; 600]);
        let passed = matches!(first, Some((_, Conclusion::NotWorse)));
        assert!(passed, "seed {seed}: {first:?}");
    }
}

#[test]
fn a_release_that_is_worse_by_the_margin_hardly_ever_passes() {
    // 1 % and 2 %: exactly the margin, which is where passing by chance is easiest.
    let fault = Fault {
        errors: 2.0,
        latency: 1.0,
    };
    let tolerance = Tolerance {
        error_margin_points: Percent::hundredths(50),
        percentiles: Vec::new(),
        ..Tolerance::default()
    };
    let shares = widening(30);
    let passes = (0..500)
        .filter(|seed| {
            let first = first_verdict((*seed, fault, 0.0), &tolerance, &shares);
            matches!(first, Some((_, Conclusion::NotWorse)))
        })
        .count();
    assert!(passes <= 5, "{passes} of 500 passed");
}

#[test]
fn a_small_change_within_the_margin_passes() {
    let fault = Fault {
        errors: 1.2,
        latency: 1.1,
    };
    for seed in 0..20 {
        let first = first_verdict((seed, fault, 0.0), &Tolerance::default(), &[0.05; 900]);
        let passed = matches!(first, Some((_, Conclusion::NotWorse)));
        assert!(passed, "seed {seed}: {first:?}");
    }
}

#[test]
fn five_times_the_errors_are_stopped_at_the_first_share() {
    let fault = Fault {
        errors: 5.0,
        latency: 1.0,
    };
    for (share, seconds) in [(0.05, 60), (0.01, 120)] {
        for seed in 0..50 {
            let shares = vec![share; seconds];
            let first = first_verdict((seed, fault, 0.0), &Tolerance::default(), &shares);
            let worse = matches!(first, Some((_, Conclusion::Worse)));
            assert!(worse, "share {share}, seed {seed}: {first:?}");
        }
    }
}

#[test]
fn twice_the_latency_is_stopped_at_the_first_share() {
    let fault = Fault {
        errors: 1.0,
        latency: 2.0,
    };
    for seed in 0..50 {
        let first = first_verdict((seed, fault, 1.0), &Tolerance::default(), &[0.01; 120]);
        let worse = matches!(first, Some((_, Conclusion::Worse)));
        assert!(worse, "seed {seed}: {first:?}");
    }
}

#[test]
fn draws_have_the_mean_that_was_asked_for() {
    let mut random = fastrand::Rng::with_seed(7);
    for (n, p) in [(600, 0.01), (6, 0.3), (300, 0.9)] {
        let sum: u64 = (0..20_000).map(|_| binomial(&mut random, n, p)).sum();
        let mean = sum as f64 / 20_000.0;
        let wanted = n as f64 * p;
        assert!((mean / wanted - 1.0).abs() < 0.02, "{mean} for {wanted}");
    }
}
