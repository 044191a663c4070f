//! Tables and properties of errors and latency together.

use expect_test::expect;
use proptest::prelude::*;

use super::super::*;
use crate::{
    observation::InstanceId,
    percent::Percent,
    traffic::{Histogram, InstanceCounts, Traffic, UserCounts, bucket_of_us},
};

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

/// A second of it.
fn second<'a>(new: &'a Traffic, stable: &'a Traffic) -> Stretch<'a> {
    Stretch {
        new,
        stable,
        lasted_ms: 1000,
    }
}

/// The usual comparison without a warm-up.
fn fresh() -> Comparison {
    Comparison::new(Tolerance::default(), 0)
}

/// A comparison of as many seconds alike.
fn compared(seconds: u32, new: &Traffic, stable: &Traffic) -> Comparison {
    let mut comparison = fresh();
    for _ in 0..seconds {
        comparison.add(&second(new, stable));
    }
    comparison
}

fn verdict(comparison: &Comparison) -> Conclusion {
    comparison.look(1).verdict
}

fn is_open(verdict: Conclusion) -> bool {
    matches!(verdict, Conclusion::NotEnough { .. })
}

#[test]
fn without_traffic_nothing_follows() {
    assert!(is_open(verdict(&fresh())));
    let errors_alone = Tolerance::of_counts(Percent::hundredths(20), 50);
    assert!(is_open(verdict(&Comparison::new(errors_alone, 0))));
}

#[test]
fn looks_are_sentences() {
    let say = |comparison: &Comparison| comparison.look(1).to_string();
    expect!["no requests to the new release yet"].assert_eq(&say(&fresh()));
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
    expect!["p50 60 ms against 21 ms of stable (worse, sure beyond 99 %), p95 60 ms against 21 ms of stable (worse, sure beyond 99 %), p99 60 ms against 21 ms of stable (worse, sure beyond 99 %)"].assert_eq(&say(&slow));
    let mut warming = Comparison::new(Tolerance::default(), 30);
    warming.add(&second(&traffic(30, 1, 20_000), &traffic(570, 6, 20_000)));
    expect!["errors 3.3 % against 1.1 % of stable (not sure yet); warming up for 29 s, only gross errors count"].assert_eq(&say(&warming));
    let mut lost = traffic(30, 0, 20_000);
    lost.client_errors = 30;
    let lost = compared(60, &lost, &traffic(570, 6, 20_000));
    expect!["answers with a 4xx 100.0 % against 0 % of stable (worse, sure beyond 99 %)"]
        .assert_eq(&say(&lost));
}

#[test]
fn a_record_is_small_and_comes_back_the_same() {
    let mut comparison = fresh();
    for n in 0..5_000_u64 {
        let mut new = traffic(5_000_000, 51_234, 1_000);
        new.latency.buckets = (0..=80).map(|bucket| (bucket, 60_000 + n)).collect();
        comparison.add(&second(&new, &new));
        if n % 1_000 == 999 {
            comparison.begin_share();
        }
    }
    let json = serde_json::to_string(&comparison).unwrap();
    assert!(json.len() < 12 * 1024, "{} bytes", json.len());
    assert_eq!(
        serde_json::from_str::<Comparison>(&json).unwrap(),
        comparison
    );
    let look = comparison.look(1);
    let json = serde_json::to_string(&look).unwrap();
    assert_eq!(serde_json::from_str::<Look>(&json).unwrap(), look);
}

#[test]
fn a_percentile_is_compared_once_stable_has_shown_where_it_is() {
    let one = traffic(20, 0, 20_000);
    let chosen = |seconds| {
        let look = compared(seconds, &one, &one).look(1);
        let chosen = look.latency.iter().map(|it| it.allowed_us.is_some());
        chosen.collect::<Vec<_>>()
    };
    assert_eq!(chosen(9), [false; 3]);
    assert_eq!(chosen(10), [true, true, false]);
    assert_eq!(chosen(50), [true; 3]);
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
    let [p50, p95, p99] = [0, 1, 2];
    let verdict = |new: &[(u64, u64)], percentile: usize| {
        let look = compared(30, &answers(new), &usual).look(1);
        (look.latency[percentile].judged.verdict, look.verdict)
    };
    let of = |new: &[(u64, u64)], percentile| verdict(new, percentile).0;
    assert_eq!(of(&[(1_000, 20)], p50), Conclusion::NotWorse);
    assert_eq!(of(&[(1_000, 25)], p95), Conclusion::NotWorse);
    assert_eq!(of(&[(1_000, 40)], p50), Conclusion::Worse);
    // A tenth is slow: that is no matter of the median, whatever all of stable's answers have in common.
    assert_eq!(of(&[(900, 20), (100, 90)], p50), Conclusion::NotWorse);
    assert_eq!(of(&[(900, 20), (100, 90)], p95), Conclusion::Worse);
    // Three of five: now it is.
    assert_eq!(of(&[(400, 20), (600, 90)], p50), Conclusion::Worse);
    // The 99th stops what the 95th cannot see.
    let slow = [(980, 20), (20, 200)];
    assert_eq!(verdict(&slow, p99), (Conclusion::Worse, Conclusion::Worse));
}

#[test]
fn the_99th_percentile_stops_and_need_not_be_proven() {
    // Too few answers of stable to choose its edge, enough for the others.
    let good = compared(45, &traffic(200, 0, 20_000), &traffic(22, 0, 20_000));
    let look = good.look(1);
    let p99 = look.latency.last().expect("three are compared");
    assert!(p99.only_stops && is_open(p99.judged.verdict));
    assert_eq!(look.verdict, Conclusion::NotWorse);
}

#[test]
fn a_service_that_gets_slower_as_a_whole_stops_nothing() {
    let mut comparison = fresh();
    for n in 0..120 {
        let now = answers(&[(500, 20 + n), (500, 40 + 2 * n)]);
        comparison.add(&second(&now, &now));
        assert_ne!(comparison.settled(1), Some(Conclusion::Worse));
    }
    // Long after the edge says little: every answer is beyond it now.
    assert_eq!(comparison.settled(1), Some(Conclusion::NotWorse));
}

#[test]
fn each_share_chooses_its_own_edge() {
    let [quick, slow] = [20, 80].map(|ms| answers(&[(1_000, ms)]));
    let mut comparison = fresh();
    let edge = |comparison: &Comparison| comparison.look(1).latency[0].allowed_us;
    comparison.add(&second(&quick, &quick));
    let first = edge(&comparison);
    comparison.add(&second(&slow, &slow));
    assert_eq!(edge(&comparison), first);
    comparison.begin_share();
    assert_eq!(edge(&comparison), first, "until stable has shown another");
    comparison.add(&second(&slow, &slow));
    assert!(edge(&comparison) > first);
}

#[test]
fn cold_instances_are_not_rolled_back_and_dead_ones_are() {
    let stable = traffic(540, 5, 20_000);
    let cold = traffic(60, 3, 80_000);
    let mut comparison = Comparison::new(Tolerance::default(), 30);
    for _ in 0..30 {
        comparison.add(&second(&cold, &stable));
        assert_ne!(comparison.settled(1), Some(Conclusion::Worse));
    }
    for _ in 0..200 {
        comparison.add(&second(&traffic(60, 0, 20_000), &stable));
        assert_ne!(comparison.settled(1), Some(Conclusion::Worse));
    }
    assert_eq!(comparison.settled(1), Some(Conclusion::NotWorse));
    // Another share warms up too.
    comparison.begin_share();
    assert_eq!(comparison.settled(1), None);
    comparison.add(&second(&cold, &stable));
    assert_eq!(comparison.settled(1), None);
    // Gross errors count from the first moment.
    let mut comparison = Comparison::new(Tolerance::default(), 30);
    comparison.add(&second(&traffic(60, 60, 20_000), &stable));
    assert_eq!(comparison.settled(1), Some(Conclusion::Worse));
}

#[test]
fn a_warm_up_lasts_for_five_slow_answers() {
    let slow = traffic(100, 0, 30_000_000);
    let mut comparison = Comparison::new(Tolerance::default(), 30);
    for _ in 0..150 {
        assert!(comparison.look(1).warm_up_ms_left > 0);
        comparison.add(&second(&slow, &slow));
    }
    (0..20).for_each(|_| comparison.add(&second(&slow, &slow)));
    assert_eq!(comparison.look(1).warm_up_ms_left, 0);
}

#[test]
fn answers_of_the_4xx_class_can_stop_and_need_not_be_proven() {
    let lost = |of_new, of_stable| {
        let mut sides = [traffic(100, 0, 20_000), traffic(900, 0, 20_000)];
        (sides[0].client_errors, sides[1].client_errors) = (of_new, of_stable);
        compared(120, &sides[0], &sides[1])
    };
    assert_eq!(verdict(&lost(100, 0)), Conclusion::Worse);
    assert_eq!(verdict(&lost(20, 90)), Conclusion::Worse);
    assert_eq!(verdict(&lost(12, 90)), Conclusion::NotWorse);
    let uncounted = Tolerance {
        client_errors: false,
        ..Tolerance::default()
    };
    let mut comparison = Comparison::new(uncounted, 0);
    let mut new = traffic(100, 0, 20_000);
    new.client_errors = 100;
    for _ in 0..120 {
        comparison.add(&second(&new, &traffic(900, 0, 20_000)));
    }
    assert_eq!(verdict(&comparison), Conclusion::NotWorse);
    assert_eq!(comparison.look(1).client_errors, None);
}

#[test]
fn ceilings_hold_whatever_stable_does() {
    let ceilings = Tolerance {
        max_error_percent: Some(Percent::hundredths(500)),
        max_latency_ms: Some(100),
        ..Tolerance::default()
    };
    let both = |errors: u64, us: u64| {
        let mut comparison = Comparison::new(ceilings.clone(), 0);
        let (new, stable) = (traffic(100, errors, us), traffic(900, errors * 9, us));
        for _ in 0..100 {
            comparison.add(&second(&new, &stable));
        }
        verdict(&comparison)
    };
    assert_eq!(both(1, 20_000), Conclusion::NotWorse);
    assert_eq!(both(50, 20_000), Conclusion::Worse);
    assert_eq!(both(1, 200_000), Conclusion::Worse);
}

/// Ten seconds in which each instance of the new release has that many errors.
fn by_instances(comparison: &mut Comparison, errors: &[u64]) {
    for _ in 0..10 {
        let mut new = traffic(50 * errors.len() as u64, errors.iter().sum(), 20_000);
        new.instances = (0..)
            .zip(errors)
            .map(|(n, errors)| {
                let counts = InstanceCounts {
                    requests: 50,
                    errors: *errors,
                };
                (InstanceId(format!("i-{n}")), counts)
            })
            .collect();
        comparison.add(&second(&new, &traffic(3_000, 3, 20_000)));
    }
}

#[test]
fn one_ill_instance_is_named_and_does_not_condemn_the_release() {
    let mut comparison = fresh();
    by_instances(&mut comparison, &[0, 40, 0, 0]);
    let look = comparison.look(1);
    assert!(is_open(look.verdict), "{look}");
    assert!(look.to_string().contains("errors are of i-1"), "{look}");
    assert_eq!(look.sign(), Sign::None);
    assert_eq!(comparison.settled(1), None);
    for all in [[20, 20, 20, 20], [10, 40, 12, 8]] {
        let mut comparison = fresh();
        by_instances(&mut comparison, &all);
        assert_eq!(verdict(&comparison), Conclusion::Worse, "{all:?}");
    }
    // One instance alone cannot be told from the release.
    let mut comparison = fresh();
    by_instances(&mut comparison, &[40]);
    assert_eq!(verdict(&comparison), Conclusion::Worse);
}

/// Seconds in which users of both sides come and fail: those of the new release, those of stable.
fn by_users(comparison: &mut Comparison, seconds: u32, new: [u64; 2], stable: [u64; 2]) {
    for _ in 0..seconds {
        let side = |requests, [seen, failed]: [u64; 2]| Traffic {
            users: Some(UserCounts {
                seen,
                failed,
                client_failed: 0,
            }),
            // One user of them asks a hundred times, and fails each time.
            errors: if failed > 0 { 100 } else { 0 },
            ..traffic(requests, 0, 20_000)
        };
        comparison.add(&second(&side(300, new), &side(2_700, stable)));
    }
}

#[test]
fn users_who_stick_count_once() {
    let mut comparison = fresh();
    by_users(&mut comparison, 1, [100, 2], [900, 0]);
    assert_ne!(verdict(&comparison), Conclusion::Worse, "two users");
    by_users(&mut comparison, 60, [100, 1], [900, 9]);
    assert_eq!(verdict(&comparison), Conclusion::NotWorse);
    assert_eq!(comparison.look(1).unit, Unit::Users);
    let mut comparison = fresh();
    by_users(&mut comparison, 30, [100, 5], [900, 9]);
    assert_eq!(verdict(&comparison), Conclusion::Worse);
    // What is known of users who stay is known already: the next share is judged on its own.
    comparison.begin_share();
    by_users(&mut comparison, 1, [1, 0], [1, 0]);
    assert!(is_open(verdict(&comparison)));
}

/// Seconds in which users come, and some of them get a 4xx: those of the new release, those of stable.
fn by_users_of_4xx(seconds: u32, new: [u64; 2], stable: [u64; 2]) -> Comparison {
    let mut comparison = fresh();
    for _ in 0..seconds {
        let side = |requests, [seen, client_failed]: [u64; 2]| Traffic {
            users: Some(UserCounts {
                seen,
                client_failed,
                ..UserCounts::default()
            }),
            // One user of them asks a hundred times, and gets one each time.
            client_errors: if client_failed > 0 { 100 } else { 0 },
            ..traffic(requests, 0, 20_000)
        };
        comparison.add(&second(&side(300, new), &side(2_700, stable)));
    }
    comparison
}

#[test]
fn where_users_stick_a_4xx_counts_once_for_each_of_them() {
    let one_user = by_users_of_4xx(1, [100, 1], [900, 0]);
    assert_ne!(verdict(&one_user), Conclusion::Worse, "one user asks often");
    let like_stable = by_users_of_4xx(120, [100, 10], [900, 90]);
    assert_eq!(verdict(&like_stable), Conclusion::NotWorse);
    let worse = by_users_of_4xx(120, [100, 20], [900, 90]);
    assert_eq!(verdict(&worse), Conclusion::Worse, "10 points, 5 allowed");
    let look = worse.look(1);
    assert!(look.to_string().contains("users who got a 4xx"), "{look}");
}

#[test]
fn a_stretch_is_whole_once_both_sides_had_enough() {
    let whole = |new: u64, stable: u64, share, lasted_ms| {
        let (new, stable) = (traffic(new, 0, 1), traffic(stable, 0, 1));
        let stretch = Stretch {
            new: &new,
            stable: &stable,
            lasted_ms,
        };
        is_whole(&stretch, share)
    };
    for (new, stable, share, lasted_ms, expected) in [
        (0, 0, 5, 1_000, false),
        (0, 100, 5, 59_999, false),
        (0, 100, 5, 60_000, true),
        (1, 9, 5, 1_000, false),
        (1, 10, 5, 1_000, true),
        (30, 570, 5, 1_000, true),
        (60, 570, 5, 1_000, true),
        (70, 570, 5, 1_000, false),
        (1, 1, 50, 1_000, true),
        (1, 0, 50, 1_000, false),
    ] {
        let found = whole(new, stable, share, lasted_ms);
        assert_eq!(found, expected, "{new} and {stable} at {share} %");
    }
}

proptest! {
    #[test]
    fn settled_is_the_verdict_of_a_look(
        stretches in prop::collection::vec(
            (0_u64..2_000, 0_u64..40, 0_u64..9_000, 0_u64..40, 1_000_u64..90_000),
            1..8,
        ),
        warm_up in 0_u32..4,
        shares in any::<u8>(),
        sharing in 1_u32..3,
    ) {
        let mut comparison = Comparison::new(Tolerance::default(), warm_up);
        for (n, (a, c, b, d, us)) in stretches.into_iter().enumerate() {
            if shares & (1 << n) != 0 {
                comparison.begin_share();
            }
            comparison.add(&second(&traffic(a, c, us), &traffic(b, d, 20_000)));
            let verdict = comparison.look(sharing).verdict;
            match comparison.settled(sharing) {
                Some(settled) => prop_assert_eq!(settled, verdict),
                None => prop_assert!(is_open(verdict), "{:?}", verdict),
            }
        }
    }
}
