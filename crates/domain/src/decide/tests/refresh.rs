//! Situations of groups whose instances AWS replaces, with the refresh before the rest:
//!
//! ```text
//! running v2 50 : 2/2/2 v1 | v1+ v1+ v2+      its state, what it replaces by, how far it is; - for none
//! ```

use super::*;
use crate::{
    catalogue::Bounds,
    observation::{RefreshSeen, RefreshState},
    plan::instance_refresh::InstanceRefresh,
};

fn both(text: &str) -> Observation {
    let (refresh, rest) = text.split_once(':').unwrap();
    let mut seen = seen(rest.trim());
    if let [state, launch, percent] = refresh.split_whitespace().collect::<Vec<_>>()[..] {
        let state = match state {
            "running" => RefreshState::Running,
            "baking" => RefreshState::Baking,
            "rolling" => RefreshState::RollingBack,
            "cancelling" => RefreshState::Cancelling,
            "succeeded" => RefreshState::Succeeded,
            _ => RefreshState::Ended,
        };
        let refresh = RefreshSeen {
            id: "r1".to_owned(),
            launch: LaunchId(launch.to_owned()),
            state,
            started_at: UnixMs(0),
            percent: percent.parse().unwrap(),
            text: format!("{state:?}"),
        };
        let slice = seen.slices.get_mut(&Slice::Blue).unwrap();
        slice.refresh = Some(refresh);
    }
    seen
}

fn refreshed() -> Deployment {
    let options = InstanceRefresh {
        health_deadline_seconds: 60,
        ..InstanceRefresh::default()
    };
    let request = request(Strategy::InstanceRefresh(options), 1, Some("v1"));
    at_step(Deployment::new(request, &seen(START)), START, 0)
}

fn check(deployment: &Deployment, rows: &[(u64, &str)], expected: Expect) {
    let lines: String = rows
        .iter()
        .map(|(seconds, text)| {
            let now = UnixMs(0).plus_ms(seconds * 1000);
            let seen = Observation {
                at: now,
                ..both(text)
            };
            let decision = decide(deployment, &seen, &[], now);
            format!("{seconds:<4} s {text:<44} {}\n", say(&decision))
        })
        .collect();
    expected.assert_eq(&lines);
}

#[test]
fn aws_is_asked_once_and_then_watched() {
    check(
        &refreshed(),
        &[
            (0, "- : 2/2/2 v1 | v1+ v1+"),
            (0, "succeeded v0 100 : 2/2/2 v1 | v1+ v1+"),
            (9, "running v3 0 : 2/2/2 v2 | v2+ v2+"),
            (5, "running v2 0 : 2/2/2 v1 | v1+ v1+ v2. v2."),
            (50, "running v2 50 : 2/2/2 v1 | v1~ v1+ v2+ v2+"),
            (60, "baking v2 100 : 2/2/2 v1 | v2+ v2+"),
            (70, "succeeded v2 100 : 2/2/2 v2 | v2+ v2+"),
        ],
        expect![[r#"
            0    s - : 2/2/2 v1 | v1+ v1+                       apply: blue: start an instance refresh to v2, 100 to 200 % at once
            0    s succeeded v0 100 : 2/2/2 v1 | v1+ v1+        apply: blue: start an instance refresh to v2, 100 to 200 % at once
            9    s running v3 0 : 2/2/2 v2 | v2+ v2+            next step
            5    s running v2 0 : 2/2/2 v1 | v1+ v1+ v2. v2.    wait: AWS instance refresh: Running, 0 % replaced; gives up at 1970-01-01T00:11:21Z
            50   s running v2 50 : 2/2/2 v1 | v1~ v1+ v2+ v2+   wait: AWS instance refresh: Running, 50 % replaced; gives up at 1970-01-01T00:11:21Z
            60   s baking v2 100 : 2/2/2 v1 | v2+ v2+           wait: AWS instance refresh: Baking, 100 % replaced; gives up at 1970-01-01T00:11:21Z
            70   s succeeded v2 100 : 2/2/2 v2 | v2+ v2+        next step
        "#]],
    );
}

#[test]
fn a_group_that_scales_itself_does_not_scale_in_meanwhile() {
    let mut scaled = refreshed();
    scaled.target.group.autoscaling = Some(Bounds { min: 1, max: 8 });
    check(
        &scaled,
        &[
            (0, "- : 1/2/8 v1 | v1+ v1+"),
            (0, "- : 2/2/8 v1 | v1+ v1+"),
            (5, "running v2 0 : 2/3/8 v1 | v1+ v1+ v2. v2."),
            (5, "running v2 0 : 3/3/8 v1 | v1+ v1+ v2. v2."),
        ],
        expect![[r#"
            0    s - : 1/2/8 v1 | v1+ v1+                       apply: blue: at least 2 and at most 8 instances
            0    s - : 2/2/8 v1 | v1+ v1+                       apply: blue: start an instance refresh to v2, 100 to 200 % at once
            5    s running v2 0 : 2/3/8 v1 | v1+ v1+ v2. v2.    apply: blue: at least 3 and at most 8 instances
            5    s running v2 0 : 3/3/8 v1 | v1+ v1+ v2. v2.    wait: AWS instance refresh: Running, 0 % replaced; gives up at 1970-01-01T00:11:21Z
        "#]],
    );
}

#[test]
fn what_aws_says_must_be_seen() {
    check(
        &refreshed(),
        &[
            (70, "succeeded v2 100 : 2/2/2 v1 | v2+ v2+"),
            (70, "succeeded v2 100 : 2/2/2 v2 | v1+ v2+ v2+"),
            (70, "succeeded v2 100 : 2/2/2 v2 | v2+ v2."),
            (1300, "succeeded v2 100 : 2/2/2 v2 | v2+ v2!"),
        ],
        expect![[r#"
            70   s succeeded v2 100 : 2/2/2 v1 | v2+ v2+        wait: AWS instance refresh: Succeeded, 100 % replaced; gives up at 1970-01-01T00:11:21Z
            70   s succeeded v2 100 : 2/2/2 v2 | v1+ v2+ v2+    wait: AWS instance refresh: Succeeded, 100 % replaced; gives up at 1970-01-01T00:11:21Z
            70   s succeeded v2 100 : 2/2/2 v2 | v2+ v2.        wait: AWS instance refresh: Succeeded, 100 % replaced; gives up at 1970-01-01T00:11:21Z
            1300 s succeeded v2 100 : 2/2/2 v2 | v2+ v2!        fail: AWS did not finish its instance refresh within 11 min 21 s: Succeeded
        "#]],
    );
}

#[test]
fn a_release_that_does_not_get_healthy_is_not_waited_for_an_hour() {
    check(
        &refreshed(),
        &[
            (59, "running v2 0 : 2/2/2 v1 | v1+ v1+ v2. v2."),
            (61, "running v2 0 : 2/2/2 v1 | v1+ v1+ v2! v2!"),
            (61, "running v2 0 : 2/2/2 v1 | v1+ v1+ v2+ v2."),
            (61, "running v2 50 : 2/2/2 v1 | v1+ v2+ v2!"),
            (61, "running v2 50 : 2/2/2 v1 | v1+ v2!"),
            (1300, "running v2 50 : 2/2/2 v1 | v1+ v2+ v2!"),
            (61, "baking v2 100 : 2/2/2 v1 | v2+ v2."),
            (61, "baking v2 100 : 2/2/2 v1 | v2! v2!"),
        ],
        expect![[r#"
            59   s running v2 0 : 2/2/2 v1 | v1+ v1+ v2. v2.    wait: AWS instance refresh: Running, 0 % replaced; gives up at 1970-01-01T00:11:21Z
            61   s running v2 0 : 2/2/2 v1 | v1+ v1+ v2! v2!    fail: only 0 of 2 instances of v2 became healthy within 1 min
            61   s running v2 0 : 2/2/2 v1 | v1+ v1+ v2+ v2.    fail: only 1 of 2 instances of v2 became healthy within 1 min
            61   s running v2 50 : 2/2/2 v1 | v1+ v2+ v2!       wait: AWS instance refresh: Running, 50 % replaced; gives up at 1970-01-01T00:11:21Z
            61   s running v2 50 : 2/2/2 v1 | v1+ v2!           wait: AWS instance refresh: Running, 50 % replaced; gives up at 1970-01-01T00:11:21Z
            1300 s running v2 50 : 2/2/2 v1 | v1+ v2+ v2!       fail: AWS did not finish its instance refresh within 11 min 21 s: Running
            61   s baking v2 100 : 2/2/2 v1 | v2+ v2.           wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            61   s baking v2 100 : 2/2/2 v1 | v2! v2!           fail: v2 did not stay healthy under watch: 0 of 2 instances were healthy
        "#]],
    );
}

#[test]
fn what_aws_ended_has_failed() {
    check(
        &refreshed(),
        &[
            (30, "rolling v2 50 : 2/2/2 v1 | v1+ v2+"),
            (30, "ended v2 50 : 2/2/2 v1 | v1+ v1+"),
        ],
        expect![[r#"
            30   s rolling v2 50 : 2/2/2 v1 | v1+ v2+           fail: the instance refresh did not succeed: RollingBack
            30   s ended v2 50 : 2/2/2 v1 | v1+ v1+             fail: the instance refresh did not succeed: Ended
        "#]],
    );
}

#[test]
fn the_way_back_first_ends_the_refresh() {
    let abort = Command::Abort {
        reason: "because".to_owned(),
    };
    let back = refreshed().command(abort, "ada", UnixMs(0)).unwrap();
    let steps = back.progress.steps.iter();
    let versions = back.versions();
    let steps: Vec<String> = steps.map(|step| step.sentence(&versions)).collect();
    expect![[r#"
        end refresh blue: no instance refresh of this deployment is under way
        fill blue: 2 healthy of v1
        shift users: 100 % blue
        retire blue: none of v2 left, 2 stay"#]]
    .assert_eq(&steps.join("\n"));
    let rows = [
        (0, "running v2 50 : 2/2/2 v1 | v1+ v2+"),
        (0, "baking v2 100 : 2/2/2 v1 | v2+ v2+"),
        (0, "rolling v2 50 : 2/2/2 v1 | v1+ v2+"),
        (1300, "rolling v2 50 : 2/2/2 v1 | v1. v1. v2+ v2+"),
        (1300, "rolling v2 50 : 2/2/2 v1 | v1. v1. v2+* v2."),
        (1300, "cancelling v2 50 : 2/2/2 v1 | v1. v1. v2+* v2."),
        (9, "ended v2 0 : 2/2/2 v1 | v1+ v1+"),
        (9, "- : 2/2/2 v1 | v1+ v1+"),
        (9, "running v3 0 : 2/2/2 v1 | v1+ v1+"),
    ];
    check(
        &back,
        &rows,
        expect![[r#"
            0    s running v2 50 : 2/2/2 v1 | v1+ v2+           apply: blue: roll the instance refresh back
            0    s baking v2 100 : 2/2/2 v1 | v2+ v2+           apply: blue: roll the instance refresh back
            0    s rolling v2 50 : 2/2/2 v1 | v1+ v2+           wait: AWS instance refresh: RollingBack, 50 % replaced; gives up at 1970-01-01T00:11:21Z
            1300 s rolling v2 50 : 2/2/2 v1 | v1. v1. v2+ v2+   apply: blue: protect 2 instances from scale-in
            1300 s rolling v2 50 : 2/2/2 v1 | v1. v1. v2+* v2.  apply: blue: cancel the instance refresh
            1300 s cancelling v2 50 : 2/2/2 v1 | v1. v1. v2+* v2. wait: AWS instance refresh: Cancelling, 50 % replaced; gives up at 1970-01-01T00:11:21Z
            9    s ended v2 0 : 2/2/2 v1 | v1+ v1+              next step
            9    s - : 2/2/2 v1 | v1+ v1+                       next step
            9    s running v3 0 : 2/2/2 v1 | v1+ v1+            wait: instance refresh r1, started by somebody else, is replacing the instances; waiting for it to end
        "#]],
    );
    // It shows up late: nothing else is done before it ended.
    let mut filling = back;
    filling.progress.at = 1;
    check(
        &filling,
        &[
            (5, "running v2 50 : 2/2/2 v1 | v1+ v2+"),
            (5, "ended v2 0 : 2/2/2 v1 | v1+ v1+"),
            (5, "ended v2 0 : 2/2/2 v1 | v1+ v2+"),
        ],
        expect![[r#"
            5    s running v2 50 : 2/2/2 v1 | v1+ v2+           apply: blue: roll the instance refresh back
            5    s ended v2 0 : 2/2/2 v1 | v1+ v1+              next step
            5    s ended v2 0 : 2/2/2 v1 | v1+ v2+              apply: blue: suspend rebalancing between zones
        "#]],
    );
}

#[test]
fn what_aws_does_cannot_be_paused() {
    let refused = refreshed().command(Command::Pause, "ada", UnixMs(0));
    expect!["AWS is replacing instances and cannot be paused; `pointsman abort` restores the stable release"].assert_eq(&refused.unwrap_err().to_string());
}
