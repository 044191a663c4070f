//! Tables and properties of one question; whole releases are in `tests/gates.rs`.

mod comparison;

use proptest::{collection::vec, prelude::*};

use super::*;

fn arm(requests: u64, events: u64) -> Arm {
    Arm { requests, events }
}

fn gathered(stretches: &[(Arm, Arm)]) -> Evidence {
    let mut evidence = Evidence::default();
    for (new, stable) in stretches {
        evidence.add(*new, *stable, 0.0);
    }
    evidence
}

/// Points alone, at half a percent either way.
fn asks(points_ppm: u32) -> Question {
    Question {
        margin: Margin::points(points_ppm),
        stop_ppm: 5_000,
        pass_ppm: 5_000,
        least_ratio: 0,
        above_nats: 0.0,
    }
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
        assert_eq!(evidence.judge(&asks(10_000)).verdict, OPEN, "{new:?}");
        let sure_of_all = Question {
            stop_ppm: 1_000_000,
            pass_ppm: 1_000_000,
            ..asks(0)
        };
        assert_eq!(evidence.judge(&sure_of_all).verdict, OPEN, "{new:?}");
    }
    // Also where each had some, but never in the same stretch.
    let apart = gathered(&[(arm(900, 90), arm(0, 0)), (arm(0, 0), arm(900, 0))]);
    assert_eq!(apart.judge(&asks(10_000)).verdict, OPEN);
    assert_eq!(apart.new_side(), arm(900, 90));
    assert_eq!(apart.stable_side(), arm(900, 0));
}

#[test]
fn clear_cases_are_judged() {
    let judge = |new, stable| gathered(&[(new, stable)]).judge(&asks(10_000)).verdict;
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
    let judged = gathered(&stretches).judge(&asks(10_000));
    assert_ne!(judged.verdict, Conclusion::Worse);
    assert_eq!(judged.difference_ppm, 0);
    assert!(judged.evidence_millinats < 0);
}

#[test]
fn the_day_before_does_not_hide_a_fault() {
    let second = |evidence: &mut Evidence, errors| {
        evidence.add(arm(60, errors), arm(540, 5), 0.0);
    };
    for good_minutes in [0_u32, 5, 15, 60, 240] {
        let mut evidence = Evidence::default();
        for _ in 0..good_minutes {
            (0..60).for_each(|n| second(&mut evidence, u64::from(n % 2 == 0)));
            evidence.begin_minute();
        }
        let found = (1..=120).find(|seconds| {
            second(&mut evidence, 3);
            if seconds % 60 == 0 {
                evidence.begin_minute();
            }
            evidence.settled(&asks(7_000)) == Some(Conclusion::Worse)
        });
        let seconds = found.expect("five times the errors are found");
        assert!(seconds <= 90, "{seconds} s after {good_minutes} min");
    }
}

#[test]
fn every_share_must_prove_the_release_too() {
    let mut evidence = gathered(&[(arm(60, 0), arm(540, 5)); 100]);
    assert_eq!(evidence.settled(&asks(10_000)), Some(Conclusion::NotWorse));
    evidence.begin_share();
    assert_eq!(evidence.settled(&asks(10_000)), None);
    evidence.add(arm(99, 0), arm(99, 1), 0.0);
    assert_eq!(evidence.settled(&asks(10_000)), None);
    evidence.add(arm(1, 0), arm(1, 0), 0.0);
    assert_eq!(evidence.settled(&asks(10_000)), Some(Conclusion::NotWorse));
    // A few errors more than stable's, and the share says nothing for it.
    evidence.begin_share();
    evidence.add(arm(200, 6), arm(200, 1), 0.0);
    assert_eq!(evidence.settled(&asks(10_000)), None);
}

#[test]
fn a_margin_grows_with_stables_rate() {
    let margin = Margin {
        points_ppm: 2_000,
        percent_of_stable: 50,
    };
    let question = Question { margin, ..asks(0) };
    let verdict = |new: u64, stable: u64| {
        let mut evidence = Evidence::default();
        for _ in 0..20 {
            evidence.add(arm(10_000, new), arm(90_000, stable * 9), margin.growth());
        }
        evidence.settled(&question)
    };
    // Without errors, 0.2 points; at 1 %, 0.7 points; at 10 %, 5.2 points.
    for (new, stable, expected) in [
        (10, 0, Some(Conclusion::NotWorse)),
        (30, 0, Some(Conclusion::Worse)),
        (140, 100, Some(Conclusion::NotWorse)),
        (190, 100, Some(Conclusion::Worse)),
        (1_400, 1_000, Some(Conclusion::NotWorse)),
        (1_600, 1_000, Some(Conclusion::Worse)),
    ] {
        assert_eq!(verdict(new, stable), expected, "{new} against {stable}");
    }
}

#[test]
fn the_estimate_is_what_it_takes() {
    let second = (arm(30, 0), arm(570, 6));
    let mut evidence = gathered(&[second; 10]);
    let first = evidence.judge(&asks(10_000));
    let Conclusion::NotEnough {
        more_requests: Some(more),
    } = first.verdict
    else {
        panic!("{first:?}");
    };
    let mut needed = 0_u64;
    while evidence.settled(&asks(10_000)).is_none() {
        evidence.add(second.0, second.1, 0.0);
        needed += 30;
    }
    assert!(needed.abs_diff(more) <= 30, "{needed} for {more}");
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
            evidence.add(new, stable, 0.0);
            evidence.judge(&asks(10_000))
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
        let judged = |stable| gathered(&[(new, stable)]).judge(&asks(10_000));
        let (less, more) = (judged(stable), judged(worse_stable));
        prop_assert!(less.evidence_millinats >= more.evidence_millinats);
        prop_assert!(less.upper_ppm + 1 >= more.upper_ppm);
    }

    #[test]
    fn the_measured_difference_is_below_its_bound(
        stretches in vec((some_arm(2_000), some_arm(9_000)), 1..8),
        margin in 0_u32..100_000,
    ) {
        let judged = gathered(&stretches).judge(&asks(margin));
        prop_assert!(judged.difference_ppm <= judged.upper_ppm || judged.upper_ppm == 1_000_000);
        match judged.verdict {
            Conclusion::Worse => prop_assert!(judged.difference_ppm >= i64::from(margin)),
            Conclusion::NotWorse => prop_assert!(judged.upper_ppm <= i64::from(margin)),
            Conclusion::NotEnough { .. } => {
                let few = stretches.iter().map(|(new, _)| new.requests).sum::<u64>() < 100;
                prop_assert!(few || judged.upper_ppm >= i64::from(margin));
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
        for (whole, cut) in whole.all().worse.iter().zip(&cut.all().worse) {
            prop_assert!(*cut <= whole + 1, "{} > {}", cut, whole);
            prop_assert!(whole - cut <= 20, "{} is far below {}", cut, whole);
        }
        for (whole, cut) in whole.not_worse().iter().zip(cut.not_worse()) {
            prop_assert!(cut <= whole + 1e-9, "{} > {}", cut, whole);
        }
    }
}
