//! What the comparison promises, on traffic drawn from seeds.

use fastrand::Rng;

use super::*;
use crate::traffic::Traffic;

/// How one side answers.
#[derive(Clone, Copy)]
struct Side {
    errors: f64,
    /// Median latency, in microseconds; half of the requests are within a factor of 1.4.
    median_us: f64,
}

const GOOD: Side = Side {
    errors: 0.01,
    median_us: 20_000.0,
};

/// `requests` requests to one side.
fn serve(rng: &mut Rng, side: Side, requests: u64) -> Traffic {
    let mut traffic = Traffic {
        epoch: 1,
        requests,
        ..Traffic::default()
    };
    for _ in 0..requests {
        if rng.f64() < side.errors {
            traffic.errors += 1;
        }
        // The sum of four uniform numbers is near enough to a bell.
        let bell = (0..4).map(|_| rng.f64()).sum::<f64>() - 2.0;
        traffic
            .latency
            .add_us((side.median_us * (0.87 * bell).exp()) as u64);
    }
    traffic
}

/// Looks every second for `seconds`: `rate` requests per second, `share` of them to the new side.
/// Says when it stopped, and the last look.
fn release(seed: u64, new: Side, rate: u64, shares: &[(f64, u64)]) -> (Option<u64>, Look) {
    let mut rng = Rng::with_seed(seed);
    let tolerance = Tolerance::default();
    let mut comparison = Comparison::default();
    let mut second = 0;
    for (share, seconds) in shares {
        for _ in 0..*seconds {
            second += 1;
            let to_new = (0..rate).filter(|_| rng.f64() < *share).count() as u64;
            let stable = serve(&mut rng, GOOD, rate - to_new);
            let new = serve(&mut rng, new, to_new);
            comparison.add(&new, &stable, &tolerance);
            let look = comparison.look(&tolerance);
            if look.verdict == Verdict::Worse {
                return (Some(second), look);
            }
        }
    }
    (None, comparison.look(&tolerance))
}

#[test]
fn no_traffic_is_no_answer() {
    let tolerance = Tolerance::default();
    let mut comparison = Comparison::default();
    let open = Verdict::NotEnough {
        more_requests: None,
    };
    assert_eq!(comparison.look(&tolerance).verdict, open);
    let stable = serve(&mut Rng::with_seed(1), GOOD, 10_000);
    comparison.add(&Traffic::default(), &stable, &tolerance);
    assert_eq!(comparison.look(&tolerance).verdict, open);
    let mut alone = Comparison::default();
    alone.add(&stable, &Traffic::default(), &tolerance);
    assert!(matches!(
        alone.look(&tolerance).verdict,
        Verdict::NotEnough { .. }
    ));
}

#[test]
fn equal_releases_pass_and_are_almost_never_stopped() {
    let widening = [(0.05, 30), (0.5, 60)];
    let releases: Vec<_> = (0..30)
        .map(|seed| release(seed, GOOD, 200, &widening))
        .collect();
    assert!(releases.iter().all(|(stopped, _)| stopped.is_none()));
    let passed = releases
        .iter()
        .filter(|(_, look)| look.verdict == Verdict::NotWorse);
    assert!(passed.count() >= 26, "{}", releases[0].1);
}

#[test]
fn five_times_the_errors_are_stopped_at_the_first_weight() {
    let bad = Side {
        errors: 0.05,
        ..GOOD
    };
    for seed in 0..8 {
        let (stopped, look) = release(seed, bad, 600, &[(0.01, 120)]);
        assert!(stopped.is_some(), "after two minutes of 1 %: {look}");
        let (stopped, look) = release(seed, bad, 600, &[(0.05, 60)]);
        assert!(stopped.is_some(), "after a minute of 5 %: {look}");
    }
}

#[test]
fn twice_the_latency_is_stopped() {
    let slow = Side {
        median_us: 40_000.0,
        ..GOOD
    };
    for seed in 0..6 {
        let (stopped, look) = release(seed, slow, 300, &[(0.1, 120)]);
        assert!(stopped.is_some(), "{look}");
        assert!(look.to_string().contains("(slower)"), "{look}");
    }
}

#[test]
fn a_little_worse_within_the_margin_passes() {
    let nearly = Side {
        errors: 0.012,
        median_us: 21_000.0,
    };
    let looks: Vec<_> = (0..5)
        .map(|seed| release(seed, nearly, 600, &[(0.25, 120)]))
        .collect();
    let passed = looks
        .iter()
        .filter(|(_, look)| look.verdict == Verdict::NotWorse);
    assert!(passed.count() >= 5, "{}", looks[0].1);
}

#[test]
fn errors_that_rise_for_everybody_stop_nobody() {
    let mut evidence = Evidence::default();
    let mut rng = Rng::with_seed(3);
    for second in 0..600_u64 {
        // The rate swings between 1 % and 31 % while the share of the new side widens.
        let rate = 0.01 + 0.15 * (1.0 + (second as f64 / 40.0).sin());
        let mut arm = |requests| Arm {
            requests,
            events: (0..requests).filter(|_| rng.f64() < rate).count() as u64,
        };
        evidence.add(arm(1 + second / 6), arm(200 - second / 6));
        let judged = evidence.judge(10_000, 10_000);
        assert_ne!(judged.verdict, Verdict::Worse, "at {second} s");
    }
}

#[test]
fn one_event_more_never_lowers_the_evidence() {
    for events in 0..50 {
        let nats = |events| {
            let mut evidence = Evidence::default();
            let new = Arm {
                requests: 100,
                events,
            };
            let stable = Arm {
                requests: 900,
                events: 9,
            };
            evidence.add(new, stable);
            evidence.nats()
        };
        assert!(nats(events + 1) >= nats(events), "{events}");
    }
}

#[test]
fn the_record_is_small() {
    let mut comparison = Comparison::default();
    let mut rng = Rng::with_seed(5);
    for _ in 0..100 {
        let (new, stable) = (serve(&mut rng, GOOD, 50), serve(&mut rng, GOOD, 500));
        comparison.add(&new, &stable, &Tolerance::default());
    }
    let text = serde_json::to_string(&comparison).unwrap();
    assert!(text.len() < 4096, "{} bytes", text.len());
    assert_eq!(
        serde_json::from_str::<Comparison>(&text).unwrap(),
        comparison
    );
}
