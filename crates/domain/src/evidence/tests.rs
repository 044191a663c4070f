//! Tables and properties of one comparison; whole releases are in `tests/gates.rs`.

use expect_test::expect;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::traffic::{Histogram, Traffic, bucket_of_us};

fn arm(requests: u64, events: u64) -> Arm {
    Arm { requests, events }
}

fn gathered(stretches: &[(Arm, Arm)]) -> Evidence {
    let mut evidence = Evidence::default();
    for (new, stable) in stretches {
        evidence.add(*new, *stable);
    }
    evidence
}

/// `requests` with that many errors, all answered in `us`.
fn traffic(requests: u64, errors: u64, us: u64) -> Traffic {
    Traffic {
        epoch: 1,
        requests,
        errors,
        latency: Histogram {
            buckets: [(bucket_of_us(us), requests)].into(),
        },
        ..Traffic::default()
    }
}

/// A comparison of as many seconds alike.
fn compared(seconds: u32, new: &Traffic, stable: &Traffic) -> Comparison {
    let mut comparison = Comparison::default();
    for _ in 0..seconds {
        comparison.add(new, stable, &Tolerance::default());
    }
    comparison
}

const OPEN: Conclusion = Conclusion::NotEnough {
    more_requests: None,
};

#[test]
fn without_traffic_on_both_sides_nothing_is_said() {
    let cases = [
        (arm(0, 0), arm(0, 0)),
        (arm(1_000_000, 0), arm(0, 0)),
        (arm(1_000_000, 1_000_000), arm(0, 0)),
        (arm(0, 0), arm(1_000_000, 0)),
        (arm(0, 0), arm(1_000_000, 1_000_000)),
    ];
    for (new, stable) in cases {
        let evidence = gathered(&[(new, stable)]);
        assert_eq!(evidence.judge(10_000, 5_000).verdict, OPEN, "{new:?}");
        assert_eq!(evidence.judge(0, 1_000_000).verdict, OPEN, "{new:?}");
    }
    // Also where each had some, but never in the same stretch.
    let apart = gathered(&[(arm(900, 90), arm(0, 0)), (arm(0, 0), arm(900, 0))]);
    assert_eq!(apart.judge(10_000, 5_000).verdict, OPEN);
    assert_eq!(apart.new_side(), arm(900, 90));
    assert_eq!(apart.stable_side(), arm(900, 0));
    let look = Comparison::default().look(&Tolerance::default());
    assert_eq!(look.verdict, OPEN);
    let without_latency = Tolerance {
        percentiles: Vec::new(),
        ..Tolerance::default()
    };
    assert_eq!(Comparison::default().look(&without_latency).verdict, OPEN);
}

#[test]
fn clear_cases_are_judged() {
    let judge = |new, stable| gathered(&[(new, stable)]).judge(10_000, 5_000).verdict;
    assert_eq!(judge(arm(700, 35), arm(70_000, 700)), Conclusion::Worse);
    assert_eq!(
        judge(arm(3_000, 30), arm(300_000, 3_000)),
        Conclusion::NotWorse
    );
    assert_eq!(judge(arm(810, 0), arm(810, 0)), Conclusion::NotWorse);
    // Worse, and sure, but by less than is tolerated.
    assert_ne!(
        judge(arm(100_000, 300), arm(100_000, 100)),
        Conclusion::Worse
    );
    // A release that is better passes sooner.
    assert_eq!(judge(arm(400, 0), arm(4_000, 400)), Conclusion::NotWorse);
}

#[test]
fn a_day_that_gets_worse_for_everyone_is_not_the_new_releases_fault() {
    // Seen as a whole the new release has 4.9 % and stable 2 %: it had its share when all was bad.
    let stretches = [
        (arm(100, 1), arm(9_900, 99)),
        (arm(5_000, 250), arm(5_000, 250)),
    ];
    let judged = gathered(&stretches).judge(10_000, 5_000);
    assert_ne!(judged.verdict, Conclusion::Worse);
    assert_eq!(judged.difference_ppm, 0);
    assert!(judged.evidence_millinats < 0);
}

#[test]
fn the_estimate_is_what_it_takes() {
    let second = (arm(30, 0), arm(570, 6));
    let mut evidence = gathered(&[second; 10]);
    let first = evidence.judge(10_000, 5_000);
    let Conclusion::NotEnough {
        more_requests: Some(more),
    } = first.verdict
    else {
        panic!("{first:?}");
    };
    let mut needed = 0_u64;
    while evidence.settled(10_000, 5_000).is_none() {
        evidence.add(second.0, second.1);
        needed += 30;
    }
    assert!(needed.abs_diff(more) <= 30, "{needed} for {more}");
}

#[test]
fn looks_are_sentences() {
    let say = |comparison: &Comparison| comparison.look(&Tolerance::default()).to_string();
    expect!["no requests to the new release yet"].assert_eq(&say(&Comparison::default()));
    let alone = compared(9, &traffic(30, 0, 9_000), &traffic(0, 0, 1));
    expect!["no requests to stable to compare with yet"].assert_eq(&say(&alone));
    let young = compared(20, &traffic(30, 0, 20_000), &traffic(570, 6, 20_000));
    expect!["errors 0 % against 1.1 % of stable (not worse), p50 21 ms against 21 ms of stable (not worse), p95 21 ms against 21 ms of stable (not worse)"].assert_eq(&say(&young));
    let good = compared(200, &traffic(30, 0, 20_000), &traffic(570, 6, 20_000));
    expect!["errors 0 % against 1.1 % of stable (not worse), p50 21 ms against 21 ms of stable (not worse), p95 21 ms against 21 ms of stable (not worse)"].assert_eq(&say(&good));
    let errors = compared(60, &traffic(30, 2, 20_000), &traffic(570, 6, 20_000));
    expect!["errors 6.7 % against 1.1 % of stable (worse, sure beyond 99 %)"]
        .assert_eq(&say(&errors));
    let slow = compared(60, &traffic(30, 0, 60_000), &traffic(570, 6, 20_000));
    expect!["p50 60 ms against 21 ms of stable (worse, sure beyond 99 %), p95 60 ms against 21 ms of stable (worse, sure beyond 99 %)"].assert_eq(&say(&slow));
}

#[test]
fn a_record_is_small_and_comes_back_the_same() {
    let mut comparison = Comparison::default();
    for second in 0..5_000_u64 {
        let mut new = traffic(5_000_000, 51_234, 1_000);
        new.latency.buckets = (0..=80).map(|bucket| (bucket, 60_000 + second)).collect();
        comparison.add(&new, &new, &Tolerance::default());
    }
    let json = serde_json::to_string(&comparison).unwrap();
    assert!(json.len() < 4096, "{} bytes", json.len());
    assert_eq!(
        serde_json::from_str::<Comparison>(&json).unwrap(),
        comparison
    );
    let look = comparison.look(&Tolerance::default());
    let json = serde_json::to_string(&look).unwrap();
    assert_eq!(serde_json::from_str::<Look>(&json).unwrap(), look);
}

#[test]
fn a_tolerance_names_its_fields() {
    let empty: Tolerance = serde_json::from_str("{}").unwrap();
    assert_eq!(empty, Tolerance::default());
    let unknown = serde_json::from_str::<Tolerance>(r#"{"errors": 3}"#).unwrap_err();
    assert!(
        unknown.to_string().contains("unknown field `errors`"),
        "{unknown}"
    );
}

#[test]
fn a_percentile_is_compared_once_stable_has_shown_where_it_is() {
    let second = traffic(10, 0, 20_000);
    let boundary = |seconds| {
        let look = compared(seconds, &second, &second).look(&Tolerance::default());
        let pair = |look: &PercentileLook| look.boundary_us.zip(look.allowed_us);
        look.latency.iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(boundary(1), [None, None]);
    assert_eq!(boundary(2), [Some((21_526, 30_443)), None]);
    assert_eq!(boundary(20), [Some((21_526, 30_443)); 2]);
}

/// 1,000 answers: so many of them at each duration in milliseconds.
fn answers(durations: &[(u64, u64)]) -> Traffic {
    let mut all = traffic(1_000, 0, 1);
    all.latency.buckets.clear();
    for (count, ms) in durations {
        *all.latency
            .buckets
            .entry(bucket_of_us(ms * 1000))
            .or_default() += count;
    }
    all
}

#[test]
fn percentiles_are_judged_by_where_they_are() {
    let usual = answers(&[(1_000, 20)]);
    let [p50, p95] = [0, 1];
    let verdict = |new: &[(u64, u64)], percentile: usize| {
        let look = compared(30, &answers(new), &usual).look(&Tolerance::default());
        look.latency[percentile].judged.verdict
    };
    assert_eq!(verdict(&[(1_000, 20)], p50), Conclusion::NotWorse);
    assert_eq!(verdict(&[(1_000, 28)], p95), Conclusion::NotWorse);
    assert_eq!(verdict(&[(1_000, 40)], p50), Conclusion::Worse);
    // A tenth is slow: that is no matter of the median, whatever all of stable's answers have in common.
    assert_eq!(verdict(&[(900, 20), (100, 90)], p50), Conclusion::NotWorse);
    assert_eq!(verdict(&[(900, 20), (100, 90)], p95), Conclusion::Worse);
    assert_eq!(verdict(&[(970, 20), (30, 90)], p95), Conclusion::NotWorse);
    // Three of five: now it is.
    assert_eq!(verdict(&[(400, 20), (600, 90)], p50), Conclusion::Worse);
}

#[test]
fn a_service_that_gets_slower_as_a_whole_stops_nothing() {
    let tolerance = Tolerance::default();
    let mut comparison = Comparison::default();
    for second in 0..120 {
        let now = answers(&[(500, 20 + second), (500, 40 + 2 * second)]);
        comparison.add(&now, &now, &tolerance);
        assert_ne!(comparison.settled(&tolerance), Some(Conclusion::Worse));
    }
    // Long after the boundary says little: every answer is beyond it now.
    assert_eq!(comparison.settled(&tolerance), Some(Conclusion::NotWorse));
}

#[test]
fn a_latency_margin_is_in_whole_buckets() {
    let steps = |latency_margin_percent| {
        Tolerance {
            latency_margin_percent,
            ..Tolerance::default()
        }
        .steps()
    };
    let margins = [0, 18, 19, 42, 50, 69, 99, 100, 300, u32::MAX];
    assert_eq!(margins.map(steps), [0, 0, 1, 2, 2, 3, 3, 4, 8, 39]);
}

fn some_arm(most: u64) -> impl Strategy<Value = Arm> {
    (0..most).prop_flat_map(|requests| (0..=requests).prop_map(move |events| arm(requests, events)))
}

proptest! {
    #[test]
    fn more_events_on_the_new_side_never_lower_the_evidence(
        before in vec((some_arm(500), some_arm(500)), 0..4),
        new in some_arm(5_000),
        stable in some_arm(50_000),
        more in 0_u64..50,
    ) {
        let worse_new = arm(new.requests, (new.events + more).min(new.requests));
        let judged = |new| {
            let mut evidence = gathered(&before);
            evidence.add(new, stable);
            evidence.judge(10_000, 5_000)
        };
        let (less, more) = (judged(new), judged(worse_new));
        prop_assert!(less.evidence_millinats <= more.evidence_millinats);
        prop_assert!(less.upper_ppm <= more.upper_ppm + 1);
        prop_assert!(less.difference_ppm <= more.difference_ppm);
    }

    #[test]
    fn more_events_on_stable_never_raise_the_evidence(
        new in some_arm(5_000),
        stable in some_arm(50_000),
        more in 0_u64..50,
    ) {
        let worse_stable = arm(stable.requests, (stable.events + more).min(stable.requests));
        let judged = |stable| gathered(&[(new, stable)]).judge(10_000, 5_000);
        let (less, more) = (judged(stable), judged(worse_stable));
        prop_assert!(less.evidence_millinats >= more.evidence_millinats);
        prop_assert!(less.upper_ppm + 1 >= more.upper_ppm);
    }

    #[test]
    fn the_measured_difference_is_below_its_bound(
        stretches in vec((some_arm(2_000), some_arm(9_000)), 1..8),
        margin in 0_u32..100_000,
    ) {
        let judged = gathered(&stretches).judge(margin, 5_000);
        prop_assert!(judged.difference_ppm <= judged.upper_ppm || judged.upper_ppm == 1_000_000);
        match judged.verdict {
            Conclusion::Worse => prop_assert!(judged.difference_ppm >= i64::from(margin)),
            Conclusion::NotWorse => prop_assert!(judged.upper_ppm <= i64::from(margin)),
            Conclusion::NotEnough { .. } => prop_assert!(judged.upper_ppm >= i64::from(margin)),
        }
    }

    #[test]
    fn settled_is_the_verdict_of_a_look(
        stretches in vec((0_u64..2_000, 0_u64..40, 0_u64..9_000, 0_u64..40, 1_000_u64..90_000), 1..8),
    ) {
        let tolerance = Tolerance::default();
        let mut comparison = Comparison::default();
        for (a, c, b, d, us) in stretches {
            comparison.add(&traffic(a, c, us), &traffic(b, d, 20_000), &tolerance);
            let verdict = comparison.look(&tolerance).verdict;
            match comparison.settled(&tolerance) {
                Some(settled) => prop_assert_eq!(settled, verdict),
                None => {
                    let open = matches!(verdict, Conclusion::NotEnough { .. });
                    prop_assert!(open, "{:?}", verdict);
                }
            }
        }
    }

    #[test]
    fn rounding_never_invents_evidence(
        a in 1_u64..1_000_000,
        b in 1_u64..1_000_000,
        c in 0_u64..1_000,
        d in 0_u64..1_000,
    ) {
        // In one stretch, and cut into ten; `f64` itself is good for one nano-nat here.
        let whole = gathered(&[(arm(a * 10, c.min(a) * 10), arm(b * 10, d.min(b) * 10))]);
        let cut = gathered(&[(arm(a, c), arm(b, d)); 10]);
        for (whole, cut) in whole.worse.iter().zip(&cut.worse) {
            prop_assert!(*cut <= whole + 1, "{} > {}", cut, whole);
            prop_assert!(whole - cut <= 20, "{} is far below {}", cut, whole);
        }
        for (whole, cut) in whole.not_worse.iter().zip(&cut.not_worse) {
            prop_assert!(*cut <= whole + 1, "{} > {}", cut, whole);
        }
    }
}
