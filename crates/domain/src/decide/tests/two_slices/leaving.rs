//! Whoever is leaving counts for nothing: instances that a slice is about to stop are no capacity.

use super::*;

/// Turned round while the old slice is being retired; at step `at` of the way back.
fn turned_round(at: usize) -> Deployment {
    let reason = "errors".to_owned();
    let retiring = canary(vec![], 5);
    let mut back = retiring
        .command(Command::Abort { reason }, "ada", super::at(0))
        .unwrap();
    back.progress.at = at;
    back
}

#[test]
fn the_way_back_brings_stable_back_where_it_is_leaving() {
    check(
        &turned_round(0),
        &[
            (0, "0 0/0/0 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (
                0,
                "0 0/0/0 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+",
            ),
            (
                0,
                "0 1/1/1 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+",
            ),
            (
                0,
                "0 2/2/2 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+",
            ),
            (
                0,
                "0 0/0/0 v1 suspended | v1+* v1+ ; 100 2/2/2 v2 suspended | v2+ v2+",
            ),
        ],
        expect![[r#"
            0   s 0 0/0/0 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: blue: suspend rebalancing between zones
            0   s 0 0/0/0 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+    apply: blue: sizes min 2 desired 2 max 2
            0   s 0 1/1/1 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+    next step
            0   s 0 2/2/2 v1 suspended | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+    next step
            0   s 0 0/0/0 v1 suspended | v1+* v1+ ; 100 2/2/2 v2 suspended | v2+ v2+   next step
        "#]],
    );
}

#[test]
fn users_go_to_nobody_who_is_leaving() {
    check(
        &turned_round(1),
        &[
            (0, "0 0/0/0 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+"),
            (0, "0 2/2/2 v1 | v1+ v1~ ; 100 2/2/2 v2 suspended | v2+ v2+"),
        ],
        expect![[r#"
            0   s 0 0/0/0 v1 | v1+ v1+ ; 100 2/2/2 v2 suspended | v2+ v2+              wait: routers do not serve the new weights yet
            0   s 0 2/2/2 v1 | v1+ v1~ ; 100 2/2/2 v2 suspended | v2+ v2+              apply: users: 100 % blue
        "#]],
    );
    check(
        &canary(vec![], 1),
        &[(0, "100 2/2/2 v1 | v1+ v1+ ; 0 1/1/1 v2 suspended | v2+ v2+")],
        expect![[r#"
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 1/1/1 v2 suspended | v2+ v2+              wait: 1 of 2 instances of v2 are healthy; waiting for the rest
        "#]],
    );
}

#[test]
fn the_old_slice_waits_for_a_new_one_that_stays() {
    check(
        &canary(vec![], 5),
        &[(0, "0 2/2/2 v1 | v1+ v1+ ; 100 1/1/1 v2 suspended | v2+ v2+")],
        expect![[r#"
            0   s 0 2/2/2 v1 | v1+ v1+ ; 100 1/1/1 v2 suspended | v2+ v2+              wait: 1 of 2 instances of v2 are healthy; waiting for the rest
        "#]],
    );
}

#[test]
fn a_stranger_in_the_next_slice_gives_its_place_and_adds_none() {
    check(
        &canary(vec![], 0),
        &[
            (0, "100 2/2/2 v1 | v1+ v1+ ; 0 1/1/1 v2 suspended | v0+"),
            (0, "100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v0+ v2."),
            (0, "50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 suspended | v0+ v2."),
        ],
        expect![[r#"
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 1/1/1 v2 suspended | v0+                  apply: green: sizes min 2 desired 2 max 2
            0   s 100 2/2/2 v1 | v1+ v1+ ; 0 2/2/2 v2 suspended | v0+ v2.              apply: green: replace instance g0
            0   s 50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 suspended | v0+ v2.              wait: 0 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T00:01:00Z
        "#]],
    );
}

#[test]
fn a_slice_that_is_empty_just_now_is_retired_too() {
    let deployment = canary(vec![], 0);
    let seen = both("100 2/2/2 v1 | v1+ v1+ ; 0 1/1/1 v0 |");
    let baseline = Baseline::of(&seen, &deployment.strategy, deployment.stable.as_ref());
    let recorded = deployment.after(&Decision::Record(baseline).into(), at(0));
    let plan = crate::plan::golden(&recorded.plan);
    assert!(
        plan.starts_with("1. retire green: none of v0 left, 0 stay\n2. fill green"),
        "{plan}"
    );
}

/// All users belong to green; somebody split them, and nobody answers at green.
const STRAYED: &str = "50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2! v2!";

/// At the very end of a canary that keeps the old slice.
fn at_the_end() -> Deployment {
    let mut end = canary(vec![], 5);
    end.progress.at = end.progress.steps.len();
    end
}

#[test]
fn no_deployment_ends_while_users_are_where_they_strayed_to() {
    check(
        &at_the_end(),
        &[
            (1, STRAYED),
            (300, STRAYED),
            (301, STRAYED),
            (301, "50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2+ v2!"),
        ],
        expect![[r#"
            1   s 50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2! v2!                        wait: routers do not serve the new weights yet
            300 s 50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2! v2!                        wait: routers do not serve the new weights yet
            301 s 50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2! v2!                        fail: routers did not serve the new weights within 5 min
            301 s 50 2/2/2 v1 | v1+ v1+ ; 50 2/2/2 v2 | v2+ v2!                        apply: users: 100 % green
        "#]],
    );
}

#[test]
fn the_way_back_waits_for_users_who_strayed_but_not_for_ever() {
    let end = turned_round(0).progress.steps.len();
    let strayed = "50 2/2/2 v1 | v1! v1! ; 50 0/0/0 v2 | v2+";
    check(
        &turned_round(end),
        &[(1, strayed), (300, strayed), (301, strayed)],
        expect![[r#"
            1   s 50 2/2/2 v1 | v1! v1! ; 50 0/0/0 v2 | v2+                            wait: routers do not serve the new weights yet
            300 s 50 2/2/2 v1 | v1! v1! ; 50 0/0/0 v2 | v2+                            wait: routers do not serve the new weights yet
            301 s 50 2/2/2 v1 | v1! v1! ; 50 0/0/0 v2 | v2+                            wait: 1 instances of v2 are finishing their last requests
        "#]],
    );
}
