//! Gates that compare what a provider counts by the minute, and tells of late.

use super::*;
use crate::{
    gate::TrafficGate,
    traffic::{ByMinute, MINUTE_MS, Minute, Traffic},
};

/// Minutes that began so many minutes after the first look, with requests and errors of the new release; stable
/// has nine times as many requests and 1 % of errors.
fn counted(minutes: &[(i64, u64, u64)], trouble: Option<&str>) -> (Observation, Vec<Answer>) {
    let mut seen = both(TENTH);
    let began = seen.at;
    let side = |requests, errors| Traffic {
        requests,
        errors,
        ..Traffic::default()
    };
    let minutes = minutes.iter().map(|(n, requests, errors)| Minute {
        at: UnixMs(began.0 + n * MINUTE_MS as i64),
        slices: [
            (Slice::Blue, side(requests * 9, requests * 9 / 100)),
            (Slice::Green, side(*requests, *errors)),
        ]
        .into(),
    });
    seen.by_minute = Some(ByMinute {
        minutes: minutes.collect(),
        late_ms: 3 * MINUTE_MS,
        trouble: trouble.map(str::to_owned),
    });
    (seen, Vec::new())
}

fn gate() -> Gate {
    Gate::Traffic(TrafficGate {
        tolerance: crate::evidence::Tolerance {
            percentiles: Vec::new(),
            ..crate::evidence::Tolerance::default()
        },
        warm_up_seconds: 0,
        ..TrafficGate::default()
    })
}

fn counted_in_all(after: &Deployment) -> u64 {
    let mut comparisons = after.progress.watch.comparisons.values();
    comparisons.next().map_or(0, |it| it.look(1).requests_new)
}

#[test]
fn a_minute_counts_once_and_only_if_it_began_after_the_share() {
    let looks = [
        counted(&[], None),
        counted(&[(-2, 1000, 500), (-1, 1000, 500)], None),
        counted(&[(-1, 1000, 500), (0, 500, 5)], None),
        counted(&[(0, 500, 5)], None),
        counted(&[(0, 500, 5), (1, 500, 5)], None),
        counted(&[(1, 500, 5)], None),
    ];
    let (after, text) = watch(canary(vec![gate()], 2), &looks);
    assert_eq!(counted_in_all(&after), 1000, "{text}");
    assert_eq!(text.matches("look").count(), 3, "one each minute: {text}");
}

#[test]
fn five_times_stables_errors_fail_within_minutes_and_as_many_do_not() {
    let minutes = |errors| [(0, 3600, errors), (1, 3600, errors)];
    let run = |errors| {
        let looks = [counted(&[], None), counted(&minutes(errors), None)];
        watch(canary(vec![gate()], 2), &looks)
    };
    let (after, text) = run(180);
    assert_eq!(after.progress.course, Course::RollingBack, "{text}");
    let (after, text) = run(36);
    assert_eq!(after.progress.course, Course::Forward, "{text}");
}

#[test]
fn the_gate_says_what_it_waits_for() {
    let said = |trouble| {
        let (after, _) = watch(canary(vec![gate()], 2), &[counted(&[], trouble)]);
        after.progress.watch.gates[0].text.clone()
    };
    let nobody = "no requests to the new release yet";
    assert_eq!(
        said(None),
        format!("{nobody}; a minute is known about 3 min after its end")
    );
    assert_eq!(
        said(Some("Rate exceeded")),
        format!("{nobody}; Rate exceeded")
    );
}
