//! Gates that compare the new release with stable: what they come to, and what follows when they cannot
//! say.

use super::*;
use crate::{
    evidence::Tolerance,
    gate::{CompareGate, Counted, Mode, OnDeadline, TrafficGate, Verdict},
    time::DrivenMs,
    traffic::Traffic,
};

/// What routers counted in all: requests and errors of the new release and of stable.
fn counted(text: &str, new: (u64, u64), stable: (u64, u64)) -> (Observation, Vec<Answer>) {
    let traffic = |(requests, errors)| {
        let mut traffic = Traffic {
            epoch: 1,
            requests,
            errors,
            ..Traffic::default()
        };
        traffic.latency.buckets.insert(20, requests);
        traffic
    };
    let mut seen = both(text);
    seen.traffic = [(Slice::Blue, traffic(stable)), (Slice::Green, traffic(new))].into();
    (seen, Vec::new())
}

/// Without a warm-up, so that a few looks are enough.
fn cold() -> TrafficGate {
    TrafficGate {
        warm_up_seconds: 0,
        ..TrafficGate::default()
    }
}

/// As many looks a second apart, with the same growth of requests and errors of both sides.
fn steady(looks: u64, new: (u64, u64), stable: (u64, u64)) -> Vec<(Observation, Vec<Answer>)> {
    let times = |(requests, errors): (u64, u64), n: u64| (requests * n, errors * n);
    (0..looks)
        .map(|n| counted(TENTH, times(new, n), times(stable, n)))
        .collect()
}

#[test]
fn more_errors_than_stable_turn_it_round() {
    let looks = [
        counted(TENTH, (0, 0), (1000, 0)),
        counted(TENTH, (500, 100), (5500, 10)),
    ];
    let (after, text) = watch(canary(vec![Gate::Traffic(cold())], 2), &looks);
    assert!(
        text.contains("1 s look: Failed\n1 s fail: errors and latency against stable:"),
        "{text}"
    );
    assert_eq!(after.progress.course, Course::RollingBack);
}

#[test]
fn enough_evidence_lets_it_pass() {
    let looks = steady(12, (1000, 0), (9000, 0));
    let (after, text) = watch(canary(vec![Gate::Traffic(cold())], 2), &looks);
    assert!(
        text.ends_with("10 s look: Met\n10 s next step\n11 s apply: users: 100 % green\n"),
        "{text}"
    );
    assert_eq!(after.progress.at, 3);
}

#[test]
fn instances_warm_up_before_anything_but_gross_errors_counts() {
    let gate = || Gate::Traffic(TrafficGate::default());
    let (after, text) = watch(canary(vec![gate()], 2), &steady(40, (1000, 100), (9000, 0)));
    assert!(
        !text[..text.find("30 s").unwrap()].contains("Failed"),
        "{text}"
    );
    assert_eq!(after.progress.course, Course::RollingBack);
    let (after, text) = watch(canary(vec![gate()], 2), &steady(3, (1000, 500), (9000, 0)));
    assert!(text.contains("1 s look: Failed"), "{text}");
    assert_eq!(after.progress.course, Course::RollingBack);
}

#[test]
fn no_traffic_is_no_success() {
    let gate = Gate::Traffic(TrafficGate {
        deadline: Deadline(2),
        on_deadline: OnDeadline::Fail,
        ..cold()
    });
    let looks: Vec<_> = (0..14).map(|_| counted(TENTH, (7, 0), (1000, 0))).collect();
    let (after, text) = watch(canary(vec![gate], 2), &looks);
    assert!(
        text.contains("13 s fail: errors and latency against stable stayed open for 12 s"),
        "{text}"
    );
    assert_eq!(after.progress.course, Course::RollingBack);
}

/// A gate with a deadline of 2 s that has so many requests and errors each second: the record after 14 s.
fn at_deadline(
    on_deadline: OnDeadline,
    new: (u64, u64),
    stable: (u64, u64),
) -> (Deployment, String) {
    let gate = Gate::Traffic(TrafficGate {
        deadline: Deadline(2),
        on_deadline,
        ..cold()
    });
    watch(canary(vec![gate], 2), &steady(14, new, stable))
}

#[test]
fn an_open_gate_without_signs_of_worse_asks_people() {
    let (asking, text) = at_deadline(OnDeadline::Ask, (1, 0), (9, 0));
    assert!(
        text.contains("13 s wait: errors and latency against stable cannot say whether"),
        "{text}"
    );
    assert_eq!(
        asking.waiting.as_ref().map(Waiting::as_str),
        Some("undecided")
    );
    assert_eq!(asking.open_approval(), Some((0, false)));
    let approved = asking
        .clone()
        .command(Command::Approve, "bob", at(15))
        .unwrap();
    assert_eq!(approved.open_approval(), None);
    let decision = decide(&approved, &both(TENTH), &[], at(16));
    assert_eq!(decision.then, Decision::Next);
    let promoted = asking
        .clone()
        .command(Command::Promote, "bob", at(15))
        .unwrap();
    assert_eq!(promoted.progress.at, 3);
    let reason = "not today".to_owned();
    let rejected = asking
        .clone()
        .command(Command::Reject { reason }, "bob", at(15));
    assert_eq!(rejected.unwrap().progress.course, Course::RollingBack);
    // Nobody answers for a day.
    let decision = decide(&asking, &both(TENTH), &[], at(90_000));
    assert!(matches!(
        decision.then,
        Decision::Fail(Failure::GateOpen { .. })
    ));
}

#[test]
fn what_follows_at_the_deadline_depends_on_what_speaks_against_the_release() {
    let strong = ((10, 2), (90, 1));
    let slight = ((10, 1), (90, 3));
    let nothing = ((1, 0), (9, 0));
    let rows = [
        (OnDeadline::Fail, nothing, "fail"),
        (OnDeadline::Ask, nothing, "ask"),
        (OnDeadline::Ask, slight, "ask"),
        (OnDeadline::Ask, strong, "fail"),
        (OnDeadline::Pass, nothing, "pass"),
        (OnDeadline::Pass, strong, "fail"),
    ];
    for (on_deadline, (new, stable), expected) in rows {
        let (after, text) = at_deadline(on_deadline, new, stable);
        let found = match (after.progress.course, &after.waiting) {
            (Course::RollingBack, _) => "fail",
            (_, Some(Waiting::Undecided { .. })) => "ask",
            _ if after.progress.at > 2 => "pass",
            _ => "open",
        };
        assert_eq!(
            found, expected,
            "{on_deadline:?} {new:?} {stable:?}: {text}"
        );
    }
}

#[test]
fn it_does_not_wait_for_requests_that_cannot_come_in_time() {
    // A request a second needs the better part of an hour; the deadline is after ten minutes.
    let gate = Gate::Traffic(cold());
    let looks = steady(90, (1, 0), (9, 0));
    let (after, text) = watch(canary(vec![gate], 2), &looks);
    assert_eq!(
        after.waiting.as_ref().map(Waiting::as_str),
        Some("undecided"),
        "{text}"
    );
}

#[test]
fn traffic_counts_once_however_many_gates_look() {
    let tight = Tolerance {
        latency_margin_percent: 20,
        ..Tolerance::default()
    };
    let other = Gate::Traffic(TrafficGate {
        tolerance: tight,
        ..cold()
    });
    let one = Gate::Traffic(cold());
    let evidence = |gates: Vec<Gate>| {
        let (after, _) = watch(canary(gates, 2), &steady(9, (100, 2), (900, 9)));
        let of = |it: &crate::evidence::Comparison| it.look(1).errors.evidence_millinats;
        let all = after.progress.watch.comparisons.values().map(of);
        all.collect::<Vec<_>>()
    };
    let alone = evidence(vec![one.clone()]);
    assert_eq!(evidence(vec![one.clone(), one.clone()]), alone);
    let both = evidence(vec![one.clone(), other.clone(), one]);
    assert_eq!(both, [alone[0], alone[0]]);
}

#[test]
fn each_gate_has_its_own_margins_at_each_share() {
    let gate = |at, latency_margin_percent| {
        Gate::Traffic(TrafficGate {
            at: vec![at],
            tolerance: Tolerance {
                latency_margin_percent,
                ..Tolerance::default()
            },
            ..cold()
        })
    };
    // A third slower: within the margin of the one gate, and beyond that of the other.
    let slower = |n: u64| {
        let (mut seen, answers) = counted(TENTH, (n * 1000, 0), (n * 9000, 0));
        if let Some(new) = seen.traffic.get_mut(&Slice::Green) {
            new.latency.buckets = [(22, n * 1000)].into();
        }
        (seen, answers)
    };
    let looks: Vec<_> = (0..12).map(slower).collect();
    let (loose, text) = watch(canary(vec![gate(10, 100), gate(50, 15)], 2), &looks);
    assert_eq!(loose.progress.at, 3, "{text}");
    let (tight, text) = watch(canary(vec![gate(50, 100), gate(10, 15)], 2), &looks);
    assert_eq!(tight.progress.course, Course::RollingBack, "{text}");
}

#[test]
fn an_observing_gate_is_shown_and_decides_nothing() {
    let gate = Gate::Traffic(TrafficGate {
        mode: Mode::Observe,
        ..cold()
    });
    let (after, text) = watch(canary(vec![gate], 2), &steady(12, (1000, 500), (9000, 0)));
    assert!(text.contains("look: Failed"), "{text}");
    assert_eq!(after.progress.at, 3);
    assert_eq!(after.progress.course, Course::Forward);
}

/// A gate that compares counters, asked every second.
fn counters() -> Gate {
    let text = r#"{"gate": "compare", "prometheus": "main", "bad": "bad{version='$version'}",
        "all": "all{version='$version'}", "warm_up_seconds": 0, "interval_seconds": 1}"#;
    serde_json::from_str(text).unwrap()
}

/// What so many gates that are alike come to, each asked every second and answered alike.
fn asked(gates: usize, rows: &[[u64; 4]]) -> (Deployment, String) {
    let looks: Vec<_> = (0..)
        .zip(rows)
        .map(|(second, [all, bad, stable_all, stable_bad])| {
            let side = |all: &u64, bad: &u64| Counted {
                all: *all,
                bad: *bad,
            };
            let answer = |gate| Answer {
                gate,
                at: DrivenMs(second * 1000),
                said: Said::Counted {
                    new: side(all, bad),
                    stable: side(stable_all, stable_bad),
                },
            };
            (both(TENTH), (0..gates).map(answer).collect())
        })
        .collect();
    watch(canary(vec![counters(); gates], 2), &looks)
}

/// Counters that grow each second: those of the new release by 500, `bad` of which went wrong.
fn growing(seconds: u64, bad: u64) -> Vec<[u64; 4]> {
    (0..seconds)
        .map(|n| [n * 500, n * bad, n * 4500, n * 45])
        .collect()
}

#[test]
fn counters_are_judged_like_traffic() {
    let (good, text) = asked(1, &growing(20, 5));
    assert_eq!(good.progress.at, 3, "{text}");
    let (bad, text) = asked(1, &growing(20, 25));
    assert_eq!(bad.progress.course, Course::RollingBack, "{text}");
}

#[test]
fn an_answer_counts_once_however_often_its_gate_is_listed() {
    let seen = |gates| {
        let (after, text) = asked(gates, &growing(6, 8));
        let comparisons = &after.progress.watch.comparisons;
        let looks: Vec<_> = comparisons.values().map(|it| it.look(1)).collect();
        assert_eq!(text.matches("look: Open").count(), gates * 6, "{text}");
        looks
    };
    assert_eq!(seen(1).len(), 1);
    assert_eq!(seen(2), seen(1));
}

#[test]
fn counters_that_were_set_back_compare_nothing() {
    // An instance with many errors was replaced: the sums are smaller than before.
    let (after, text) = asked(
        1,
        &[[1000, 900, 9000, 9], [10, 0, 9100, 9], [11, 0, 9200, 9]],
    );
    assert!(!text.contains("Failed"), "{text}");
    assert!(after.progress.watch.gates[0].counted.is_some());
    assert!(matches!(counters(), Gate::Compare(CompareGate { .. })));
    assert_eq!(after.progress.watch.gates[0].verdict, Verdict::Open);
}
