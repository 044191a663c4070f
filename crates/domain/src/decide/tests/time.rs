//! Waits are measured in the deployment's own time, whatever the wall clock shows.

use super::*;

const FILLING: &str = "4/4/4 v2 suspended | v1+ v1+ v2. v2+";
const BAKING: &str = "4/4/4 v2 suspended | v1+ v1+ v2+ v2+";

/// `deployment` so many seconds of its own time later, when the wall clock shows `wall`.
fn pass(mut deployment: Deployment, seconds: u64, wall: UnixMs) -> Deployment {
    deployment.pass(seconds * 1000, wall);
    deployment
}

fn at(seconds: u64) -> UnixMs {
    UnixMs(0).plus_ms(seconds * 1000)
}

fn says(deployment: &Deployment, text: &str) -> String {
    say(&super::super::decide(deployment, &seen(text), &[]))
}

/// In its bake of 10 s, looked at for the first time.
fn baking() -> Deployment {
    let baking = at_step(deployment(Some("v1")), START, 1);
    let decided = super::super::decide(&baking, &seen(BAKING), &[]);
    baking.after(&decided, at(0))
}

#[test]
fn pausing_moves_every_deadline() {
    let filling = at_step(deployment(Some("v1")), START, 0);
    let paused = pass(filling, 10, at(10)).command(Command::Pause, "ada", at(10));
    let resumed = pass(paused.unwrap(), 100, at(110))
        .command(Command::Resume, "ada", at(110))
        .unwrap();
    expect![
        "wait: 1 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T00:02:40Z"
    ]
    .assert_eq(&says(&pass(resumed.clone(), 49, at(159)), FILLING));
    expect!["fail: only 1 of 2 instances of v2 became healthy within 1 min"]
        .assert_eq(&says(&pass(resumed, 51, at(161)), FILLING));
}

#[test]
fn a_wall_clock_that_is_set_moves_what_is_shown_and_nothing_else() {
    let filling = at_step(deployment(Some("v1")), START, 0);
    let later = pass(filling.clone(), 5, at(7205));
    expect![
        "wait: 1 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T02:01:00Z"
    ]
    .assert_eq(&says(&later, FILLING));
    let earlier = pass(filling, 61, UnixMs(-7_200_000));
    expect!["fail: only 1 of 2 instances of v2 became healthy within 1 min"]
        .assert_eq(&says(&earlier, FILLING));
    expect!["wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T02:00:10Z"]
        .assert_eq(&says(&pass(baking(), 5, at(7205)), BAKING));
    expect!["next step"].assert_eq(&says(&pass(baking(), 10, UnixMs(-7_200_000)), BAKING));
}

#[test]
fn a_small_difference_between_the_clocks_is_not_shown() {
    let earlier = pass(baking(), 5, at(6));
    assert_eq!(earlier.time.on_the_wall(DrivenMs(0)), at(0));
}

#[test]
fn a_watch_begins_again_when_the_clock_was_set() {
    let mut watched = pass(baking(), 9, at(9));
    watched.clock_was_set();
    expect!["wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:19Z"]
        .assert_eq(&says(&watched, BAKING));
    let mut filling = pass(at_step(deployment(Some("v1")), START, 0), 61, at(61));
    filling.clock_was_set();
    expect!["fail: only 1 of 2 instances of v2 became healthy within 1 min"]
        .assert_eq(&says(&filling, FILLING));
}

#[test]
fn an_instance_that_was_replaced_did_not_stay_whenever_it_was_started() {
    for started_at in [-7_200_000, 0, 7_200_000] {
        let mut now = seen(BAKING);
        let blue = now.slices.get_mut(&Slice::Blue).unwrap();
        blue.instances[3].started_at = UnixMs(started_at);
        let same = super::super::decide(&pass(baking(), 9, at(9)), &now, &[]);
        assert!(matches!(same.then, Decision::Hold { .. }), "{same:?}");
        let blue = now.slices.get_mut(&Slice::Blue).unwrap();
        blue.instances[3].id = InstanceId("i-new".to_owned());
        let decided = super::super::decide(&pass(baking(), 9, at(9)), &now, &[]);
        expect!["wait: 1 of 2 instances of v2 are healthy; waiting for the rest"]
            .assert_eq(&say(&decided));
    }
}

/// What is seen may be so old.
fn stale(text: &str) -> Observation {
    Observation {
        stale_ms_max: 3000,
        ..seen(text)
    }
}

fn back() -> Deployment {
    let reason = "errors".to_owned();
    at_step(deployment(Some("v1")), START, 1)
        .command(Command::Abort { reason }, "ada", at(0))
        .unwrap()
}

#[test]
fn an_old_look_never_lowers_what_was_asked_for() {
    let text = "2/2/2 v1 suspended | v2+ v2+";
    let mut asked = back();
    asked.asked_sizes.insert(Slice::Blue, 4);
    expect!["apply: blue: sizes min 4 desired 4 max 4"].assert_eq(&says(&asked, text));
    let fewer = "2/2/2 v1 suspended | v2+";
    expect!["apply: blue: sizes min 4 desired 4 max 4"].assert_eq(&says(&asked, fewer));
    let failed = Decided {
        failed: Some(Effect::SetSizes {
            slice: Slice::Blue,
            sizes: Sizes {
                min: 3,
                desired: 3,
                max: 3,
            },
        }),
        ..Decision::Wait(Waiting::Weights).into()
    };
    let after = back().after(&failed, at(0));
    assert_eq!(
        after.asked_sizes[&Slice::Blue],
        3,
        "a request that failed may have been carried out"
    );
}

#[test]
fn an_instance_is_replaced_once_the_last_request_can_be_seen() {
    let text = "4/4/4 v1 suspended | v1+ v2+ v2+ v2+";
    let decided = super::super::decide(&back(), &stale(text), &[]);
    expect!["wait: what the provider shows may be up to 3 s old; checking again"]
        .assert_eq(&say(&decided));
    let held = pass(back().after(&decided, at(0)), 4, at(4));
    let decided = super::super::decide(&held, &stale(text), &[]);
    expect!["apply: blue: replace instance i1"].assert_eq(&say(&decided));
}

#[test]
fn who_takes_over_asks_for_nothing_on_a_look_from_before() {
    let text = "2/2/2 v1 suspended | v2+ v2+";
    let mut taken = pass(back(), 10, at(10));
    assert!(taken.take_over());
    let decided = super::super::decide(&taken, &stale(text), &[]);
    expect!["wait: what the provider shows may be up to 3 s old; checking again"]
        .assert_eq(&say(&decided));
    let later = pass(taken, 4, at(14));
    let decided = super::super::decide(&later, &stale(text), &[]);
    expect!["apply: blue: sizes min 4 desired 4 max 4"].assert_eq(&say(&decided));
}
