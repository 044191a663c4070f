//! Situations of groups with two slices, blue first:
//!
//! ```text
//! 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 | v2+ v2+      percent of the users, then as with one slice
//! ```

mod by_minute;
mod compared;
mod leaving;
mod people;
mod stable_gone;

use super::*;
use crate::{
    gate::{Deadline, Gate, HttpGate, Patience, Said, TcpGate},
    plan::two_slices::{Stages, TwoSlices},
};

fn both(text: &str) -> Observation {
    let (blue, green) = text.split_once(';').unwrap();
    let half = |text: &str, prefix| {
        let (percent, rest) = text.trim().split_once(' ').unwrap();
        (percent.parse::<u8>().unwrap(), slice(rest, prefix))
    };
    let ((blue_users, blue), (green_users, green)) = (half(blue, "b"), half(green, "g"));
    Observation {
        slices: [(Slice::Blue, blue), (Slice::Green, green)].into(),
        weights: [(Slice::Blue, blue_users), (Slice::Green, green_users)].into(),
        ..Observation::default()
    }
}

const BEGIN: &str = "100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 - |";
const FILLED: &str = "100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+";
const TENTH: &str = "90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+";
const MOVED: &str = "0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+";

/// A canary at 10 % for 10 s with these gates, warm for 60 s; recorded, at step `at`.
fn canary(gates: Vec<Gate>, at: usize) -> Deployment {
    let options = TwoSlices {
        stages: "10%:10s".parse::<Stages>().unwrap().0,
        gates: Some(gates),
        warm_seconds: 60,
        health_deadline_seconds: 60,
        ..TwoSlices::default()
    };
    let strategy = Strategy::Canary(options);
    let start = both(BEGIN);
    let deployment = Deployment::new(request(strategy, 2, Some("v1")), &start);
    let baseline = Baseline::of(&start, &deployment.strategy, deployment.stable.as_ref());
    let mut recorded = deployment.after(&Decision::Record(baseline).into(), UnixMs(0));
    recorded.progress.at = at;
    recorded
}

fn at(seconds: u64) -> UnixMs {
    UnixMs(0).plus_ms(seconds * 1000)
}

fn check(deployment: &Deployment, rows: &[(u64, &str)], expected: Expect) {
    let lines: String = rows
        .iter()
        .map(|(seconds, text)| {
            let decision = decide(deployment, &both(text), &[], at(*seconds));
            format!("{seconds:<3} s {text:<68} {}\n", say(&decision))
        })
        .collect();
    expected.assert_eq(&lines);
}

#[test]
fn the_plan_is_five_conditions() {
    let plan = crate::plan::golden(&canary(vec![], 0).plan);
    expect![[r#"
        1. fill green: 2 healthy of v2
        2. shift users: 90 % blue, 10 % green
        3. bake green: 2 of v2 stay healthy for 10 s
        4. shift users: 100 % green
        5. bake green: 2 of v2 stay healthy for 60 s while blue stays ready for the way back
        6. retire blue: none of v1 left, 0 stay
    "#]]
    .assert_eq(&plan);
}

#[test]
fn fill_touches_only_the_slice_that_nobody_uses() {
    check(
        &canary(vec![], 0),
        &[
            (0, BEGIN),
            (0, "100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 v2 |"),
            (0, "100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 v2 suspended |"),
            (5, "100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2."),
            (5, FILLED),
        ],
        expect![[r#"
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 - |                                 apply: green: new instances start from v2
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 v2 |                                apply: green: suspend rebalancing between zones
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 0/0/0 v2 suspended |                      apply: green: sizes min 2 desired 2 max 2
            5   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2.              wait: 1 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T00:01:00Z
            5   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+              next step
        "#]],
    );
}

#[test]
fn users_are_moved_only_to_a_slice_that_is_whole() {
    check(
        &canary(vec![], 1),
        &[
            (0, FILLED),
            (0, "100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2!"),
            (
                400,
                "100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2!",
            ),
            (400, FILLED),
            (0, TENTH),
        ],
        expect![[r#"
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2!              wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            400 s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2!              fail: v2 did not stay healthy under watch: 1 of 2 instances were healthy
            400 s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+              fail: routers did not serve the new weights within 5 min
            0   s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
        "#]],
    );
}

#[test]
fn a_bake_holds_users_where_the_shift_put_them() {
    check(
        &canary(vec![], 2),
        &[(0, TENTH), (0, FILLED), (0, MOVED)],
        expect![[r#"
            0   s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:10Z
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: users: 90 % blue, 10 % green
        "#]],
    );
}

#[test]
fn warm_is_a_time_and_a_loss_does_not_begin_it_anew() {
    let warm = canary(vec![], 4);
    check(
        &warm,
        &[
            (0, MOVED),
            (
                30,
                "0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2.",
            ),
            (61, MOVED),
            (5, "0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2! v2!"),
        ],
        expect![[r#"
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              wait: all users are on v2; blue stays ready for a rollback; goes on at 1970-01-01T00:01:00Z
            30  s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2.              wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            61  s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              next step
            5   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2! v2!              fail: v2 did not stay healthy under watch: 0 of 2 instances were healthy
        "#]],
    );
}

#[test]
fn the_old_slice_goes_only_without_users_and_beside_a_whole_new_one() {
    check(
        &canary(vec![], 5),
        &[
            (0, MOVED),
            (0, TENTH),
            (0, "0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2!"),
            (
                61,
                "0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2!",
            ),
            (0, "0 0/0/2 v1 | v1~ v1~ ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (0, "0 0/0/2 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+"),
        ],
        expect![[r#"
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: blue: sizes min 0 desired 0 max 0
            0   s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              apply: users: 100 % green
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2!              wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            61  s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2!              fail: only 1 of 2 instances of v2 became healthy within 1 min
            0   s 0 0/0/2 v1 | v1~ v1~ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: blue: sizes min 0 desired 0 max 0
            0   s 0 0/0/2 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+                      next step
        "#]],
    );
}

#[test]
fn the_end_leaves_one_slice_whole_and_the_other_empty() {
    check(
        &canary(vec![], 6),
        &[
            (0, "0 0/0/2 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (0, "0 0/0/0 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (0, "0 0/0/0 v1 | ; 100 2/2/2 v2 | v2+ v2+"),
            (0, "50 0/0/0 v1 | ; 50 2/2/2 v2 | v2+ v2+"),
        ],
        expect![[r#"
            0   s 0 0/0/2 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+                      apply: blue: sizes min 0 desired 0 max 0
            0   s 0 0/0/0 v1 | ; 100 2/2/2 v2 suspended | v2+ v2+                      apply: green: resume rebalancing between zones
            0   s 0 0/0/0 v1 | ; 100 2/2/2 v2 | v2+ v2+                                finish, clean: true
            0   s 50 0/0/0 v1 | ; 50 2/2/2 v2 | v2+ v2+                                apply: users: 100 % green
        "#]],
    );
}

#[test]
fn the_way_back_moves_users_first() {
    let reason = "errors".to_owned();
    let moved = canary(vec![], 4);
    let back = moved
        .command(Command::RollBack { reason }, "ada", at(0))
        .unwrap();
    check(
        &back,
        &[(0, MOVED)],
        expect![[r#"
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              next step
        "#]],
    );
    let mut shifting = back;
    shifting.progress.at = 1;
    check(
        &shifting,
        &[
            (0, MOVED),
            (0, "0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (0, FILLED),
        ],
        expect![[r#"
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: users: 100 % blue
            0   s 0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+              wait: routers do not serve the new weights yet
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v2+ v2+              apply: users: 100 % blue
        "#]],
    );
}

#[test]
fn users_stay_where_somebody_answers_when_stable_is_lost() {
    let reason = "errors".to_owned();
    let back = canary(vec![], 4)
        .command(Command::RollBack { reason }, "ada", at(0))
        .unwrap();
    let failure = Failure::Unhealthy {
        launch: LaunchId("v1".into()),
        healthy: 0,
        wanted: 1,
        within_ms: 60_000,
        trouble: None,
    };
    let lost = back.after(&Decision::Fail(failure).into(), at(61));
    check(
        &lost,
        &[
            (
                61,
                "0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+",
            ),
            (61, "0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 | v2+ v2+"),
            (61, "0 2/2/2 v1 | v1+ v1! ; 100 2/2/2 v2 | v2+ v2+"),
        ],
        expect![[r#"
            61  s 0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 suspended | v2+ v2+              apply: green: resume rebalancing between zones
            61  s 0 2/2/2 v1 | v1! v1! ; 100 2/2/2 v2 | v2+ v2+                        finish, clean: true
            61  s 0 2/2/2 v1 | v1+ v1! ; 100 2/2/2 v2 | v2+ v2+                        apply: users: 100 % blue
        "#]],
    );
}

/// `deployment` after each of the looks, a second apart; says how each ended.
fn watch(mut deployment: Deployment, looks: &[(Observation, Vec<Answer>)]) -> (Deployment, String) {
    let mut text = String::new();
    for (second, (seen, answers)) in looks.iter().enumerate() {
        let now = at(second as u64);
        let decision = decide(&deployment, seen, answers, now);
        for look in &decision.looks {
            text.push_str(&format!("{second} s look: {:?}\n", look.verdict));
        }
        text.push_str(&format!("{second} s {}\n", say(&decision)));
        deployment = late(&deployment, now).after(&decision, now);
    }
    (deployment, text)
}

/// Gates that ask the world outside once a second, and forgive two bad answers in a row.
fn that_ask() -> [Gate; 2] {
    let patience = Patience {
        interval_seconds: 1,
        bad_answers: 3,
    };
    let http = HttpGate {
        at: Vec::new(),
        url: "http://check".into(),
        patience,
        deadline: Deadline::default(),
    };
    let tcp = TcpGate {
        patience,
        ..TcpGate::new("check:80".into())
    };
    [Gate::Http(http), Gate::Tcp(tcp)]
}

#[test]
fn a_check_may_fail_twice_but_not_three_times() {
    let say = |said: &str| {
        let text = said.to_owned();
        let said = match said {
            "good" => Said::Good { text, value: None },
            "bad" => Said::Bad { text, value: None },
            _ => Said::Nothing { text },
        };
        let answer = Answer {
            gate: 0,
            at: DrivenMs(0),
            said,
        };
        (both(TENTH), vec![answer])
    };
    for gate in that_ask() {
        let once = ["bad", "bad", "good", "bad", "silence", "bad", "bad"].map(say);
        let (after, text) = watch(canary(vec![gate.clone()], 2), &once);
        assert!(
            text.contains("6 s look: Failed"),
            "silence forgives nothing: {text}"
        );
        assert_eq!(after.progress.course, Course::RollingBack);
        let forgiven: Vec<_> = ["bad", "bad", "good"]
            .iter()
            .copied()
            .cycle()
            .take(12)
            .map(say)
            .collect();
        let (after, _) = watch(canary(vec![gate], 2), &forgiven);
        assert_eq!(after.progress.at, 3);
    }
}

#[test]
fn a_port_that_never_answers_fails_at_the_deadline() {
    let [_, tcp] = that_ask();
    check(
        &canary(vec![tcp], 2),
        &[(11, TENTH), (611, TENTH)],
        expect![[r#"
            11  s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:21Z
            611 s 90 2/2/2 v1 | v1+ v1+ ; 10 2/2/2 v2 suspended | v2+ v2+              fail: connection to check:80 stayed open for 10 min 10 s, and missing evidence never counts as success: nothing was measured yet
        "#]],
    );
}
