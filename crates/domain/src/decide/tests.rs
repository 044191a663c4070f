//! One row per situation: what is seen, and what follows. Situations are written in a small language,
//! so that a row fits on a line:
//!
//! ```text
//! 4/4/8 v1 | v1+ v1+ v2. v2! v2~      sizes, what is launched, and the instances:
//!                                     + healthy, . pending, ! ill, ~ draining, * protected
//! ```

use expect_test::{Expect, expect};

use super::*;
use crate::{
    catalogue::{HealthCheck, ServerGroup},
    deployment::{Command, Request},
    effect::Target,
    names::{DeploymentId, Place},
    observation::{Instance, InstanceId, InstanceState, Sizes},
    plan::{Strategy, scale_up::ScaleUp},
    reason::Then,
    release::{Content, Digest, Launch, LaunchId},
    slice::Slice,
    users::Weights,
    versions::Versions,
};

mod refresh;
mod retire;
mod time;
mod two_slices;

fn launch(version: &str) -> Launch {
    let digest = Digest::from_bytes([1; 32]);
    Launch {
        id: LaunchId(version.to_owned()),
        version: version.parse().unwrap(),
        content: Content::package(digest),
    }
}

fn quick() -> ScaleUp {
    ScaleUp {
        bake_seconds: 10,
        health_deadline_seconds: 60,
        ..ScaleUp::default()
    }
}

fn deployment(stable: Option<&str>) -> Deployment {
    let start = if stable.is_some() { START } else { "0/0/0 - |" };
    Deployment::new(request(Strategy::ScaleUp(quick()), 1, stable), &seen(start))
}

fn request(strategy: Strategy, slices: u8, stable: Option<&str>) -> Request {
    let place = Place {
        service: "cart".parse().unwrap(),
        environment: "live".parse().unwrap(),
    };
    let group = ServerGroup {
        service: place.service.clone(),
        environment: place.environment.clone(),
        size: 2,
        autoscaling: None,
        size_limit: None,
        zones: vec!["a".into()],
        slices,
        stickiness: None,
        ignore_paths: Vec::new(),
        gates: Vec::new(),
        health: HealthCheck::default(),
        drain_seconds: 1,
        variables: [].into(),
        limits: Default::default(),
        aws: None,
        custom: None,
    };
    Request {
        id: DeploymentId("d1".into()),
        target: Target::local(place, group),
        strategy,
        launch: launch("v2"),
        stable: stable.map(launch),
        requested_by: "ada".into(),
        requested_at: UnixMs(0),
    }
}

/// Reads a situation. Weights are all on the one slice.
fn seen(text: &str) -> Observation {
    Observation {
        slices: [(Slice::Blue, slice(text, "i"))].into(),
        weights: Weights::all_on(Slice::Blue),
        ..Observation::default()
    }
}

/// Reads one slice; ids of instances begin with `prefix`.
fn slice(text: &str, prefix: &str) -> SliceSeen {
    let (settings, instances) = text.split_once('|').unwrap();
    let mut settings = settings.split_whitespace();
    let sizes: Vec<u32> = settings
        .next()
        .unwrap()
        .split('/')
        .map(|n| n.parse().unwrap())
        .collect();
    let launches = settings
        .next()
        .filter(|version| *version != "-")
        .map(launch);
    let rebalancing_suspended = settings.next() == Some("suspended");
    let instances = instances
        .split_whitespace()
        .enumerate()
        .map(|(n, text)| instance(&format!("{prefix}{n}"), text));
    SliceSeen {
        sizes: Sizes {
            min: sizes[0],
            desired: sizes[1],
            max: sizes[2],
        },
        launches,
        rebalancing_suspended,
        instances: instances.collect(),
        ..SliceSeen::default()
    }
}

fn instance(id: &str, text: &str) -> Instance {
    let version = text.trim_end_matches(['+', '.', '!', '~', '*']);
    let state = match text.trim_end_matches('*').chars().last() {
        Some('+') => InstanceState::Healthy,
        Some('.') => InstanceState::Pending,
        Some('!') => InstanceState::Unhealthy,
        _ => InstanceState::Draining,
    };
    Instance {
        id: InstanceId(id.to_owned()),
        launch: LaunchId(version.to_owned()),
        version: version.parse().unwrap(),
        zone: "a".into(),
        state,
        protected: text.ends_with('*'),
        started_at: UnixMs(0),
    }
}

fn say(decided: &Decided) -> String {
    match &decided.then {
        Decision::Record(_) => "record the baseline".to_owned(),
        Decision::Apply(effect) => format!("apply: {effect}"),
        Decision::Hold { waiting, .. } | Decision::Wait(waiting) | Decision::Keep(waiting) => {
            let until = match waiting.until() {
                Some((at, Then::GivesUp)) => format!("; gives up at {at}"),
                Some((at, Then::GoesOn)) => format!("; goes on at {at}"),
                None => String::new(),
            };
            format!("wait: {}{until}", waiting.sentence(&Versions::default()))
        }
        Decision::Next => "next step".to_owned(),
        Decision::Fail(failure) => format!("fail: {}", failure.sentence(&Versions::default())),
        Decision::Finish(certificate) => format!("finish, clean: {}", certificate.is_clean()),
    }
}

/// `deployment` when the wall clock shows `wall`: it was driven without a break since it was requested.
fn late(deployment: &Deployment, wall: UnixMs) -> Deployment {
    let mut late = deployment.clone();
    late.time.driven = DrivenMs(wall.since_ms(UnixMs(0)));
    late
}

/// What follows when the wall clock shows `wall`.
fn decide(
    deployment: &Deployment,
    seen: &Observation,
    answers: &[Answer],
    wall: UnixMs,
) -> Decided {
    super::decide(&late(deployment, wall), seen, answers)
}

/// `deployment`, recorded from `start`, at step `at`.
fn at_step(deployment: Deployment, start: &str, at: usize) -> Deployment {
    let baseline = Baseline::of(
        &seen(start),
        &deployment.strategy,
        deployment.stable.as_ref(),
    );
    let mut recorded = deployment.after(&Decision::Record(baseline).into(), UnixMs(0));
    recorded.progress.at = at;
    recorded
}

const START: &str = "2/2/2 v1 | v1+ v1+";

/// What follows at each situation, seconds after the step began.
fn check(deployment: &Deployment, rows: &[(u64, &str)], expected: Expect) {
    let lines: String = rows
        .iter()
        .map(|(seconds, text)| {
            let decision = decide(
                deployment,
                &seen(text),
                &[],
                UnixMs(0).plus_ms(seconds * 1000),
            );
            format!("{text:<44} {}\n", say(&decision))
        })
        .collect();
    expected.assert_eq(&lines);
}

#[test]
fn nothing_is_changed_before_the_baseline_is_kept() {
    check(
        &deployment(Some("v1")),
        &[(0, START)],
        expect![[r#"
        2/2/2 v1 | v1+ v1+                           record the baseline
    "#]],
    );
}

#[test]
fn fill_brings_one_thing_about_after_the_other() {
    let fill = at_step(deployment(Some("v1")), START, 0);
    check(
        &fill,
        &[
            (0, START),
            (0, "2/2/2 v2 | v1+ v1+"),
            (0, "2/2/2 v2 suspended | v1+ v1+"),
            (0, "4/4/4 v2 suspended | v1+ v1+"),
            (9, "4/4/4 v2 suspended | v1+ v1+ v2. v2+"),
            (9, "4/4/4 v2 suspended | v1+ v1+ v2+ v2+"),
            (9, "4/4/4 v2 suspended | v1+ v1+ v1+ v2+"),
            (9, "5/5/5 v2 suspended | v1+ v1+ v1+ v2+ v2."),
            (61, "4/4/4 v2 suspended | v1+ v1+ v2. v2+"),
            (61, "4/4/4 v2 suspended | v1+ v1+ v2+ v2+"),
        ],
        expect![[r#"
            2/2/2 v1 | v1+ v1+                           apply: blue: new instances start from v2
            2/2/2 v2 | v1+ v1+                           apply: blue: suspend rebalancing between zones
            2/2/2 v2 suspended | v1+ v1+                 apply: blue: sizes min 4 desired 4 max 4
            4/4/4 v2 suspended | v1+ v1+                 wait: 0 of 2 instances of v2 are healthy, 0 are starting; gives up at 1970-01-01T00:01:00Z
            4/4/4 v2 suspended | v1+ v1+ v2. v2+         wait: 1 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T00:01:00Z
            4/4/4 v2 suspended | v1+ v1+ v2+ v2+         next step
            4/4/4 v2 suspended | v1+ v1+ v1+ v2+         apply: blue: sizes min 5 desired 5 max 5
            5/5/5 v2 suspended | v1+ v1+ v1+ v2+ v2.     wait: 1 of 2 instances of v2 are healthy, 1 are starting; gives up at 1970-01-01T00:01:00Z
            4/4/4 v2 suspended | v1+ v1+ v2. v2+         fail: only 1 of 2 instances of v2 became healthy within 1 min
            4/4/4 v2 suspended | v1+ v1+ v2+ v2+         next step
        "#]],
    );
}

#[test]
fn bake_forgives_one_loss_but_not_most() {
    let bake = at_step(deployment(Some("v1")), START, 1);
    check(
        &bake,
        &[
            (0, "4/4/4 v2 suspended | v1+ v1+ v2+ v2+"),
            (5, "4/4/4 v2 suspended | v1+ v1+ v2+ v2! v2."),
            (5, "4/4/4 v2 suspended | v1+ v1+ v2! v2!"),
            (71, "4/4/4 v2 suspended | v1+ v1+ v2+ v2."),
        ],
        expect![[r#"
            4/4/4 v2 suspended | v1+ v1+ v2+ v2+         wait: baking v2: every instance is healthy so far; goes on at 1970-01-01T00:00:10Z
            4/4/4 v2 suspended | v1+ v1+ v2+ v2! v2.     wait: 1 of 2 instances of v2 are healthy; waiting for the rest
            4/4/4 v2 suspended | v1+ v1+ v2! v2!         fail: v2 did not stay healthy under watch: 0 of 2 instances were healthy
            4/4/4 v2 suspended | v1+ v1+ v2+ v2.         fail: v2 did not stay healthy under watch: 1 of 2 instances were healthy
        "#]],
    );
}

#[test]
fn bake_forgives_the_loss_of_an_only_instance_but_not_that_it_is_ill() {
    let start = "1/1/1 v1 | v1+";
    let mut alone = request(Strategy::ScaleUp(quick()), 1, Some("v1"));
    alone.target.group.size = 1;
    let bake = at_step(Deployment::new(alone, &seen(start)), start, 1);
    check(
        &bake,
        &[
            (5, "2/2/2 v2 suspended | v1+"),
            (5, "2/2/2 v2 suspended | v1+ v2."),
            (5, "2/2/2 v2 suspended | v1+ v2!"),
            (71, "2/2/2 v2 suspended | v1+ v2."),
        ],
        expect![[r#"
            2/2/2 v2 suspended | v1+                     wait: 0 of 1 instances of v2 are healthy; waiting for the rest
            2/2/2 v2 suspended | v1+ v2.                 wait: 0 of 1 instances of v2 are healthy; waiting for the rest
            2/2/2 v2 suspended | v1+ v2!                 fail: v2 did not stay healthy under watch: 0 of 1 instances were healthy
            2/2/2 v2 suspended | v1+ v2.                 fail: v2 did not stay healthy under watch: 0 of 1 instances were healthy
        "#]],
    );
}

#[test]
fn restore_puts_everything_back_and_proves_it() {
    let restore = at_step(deployment(Some("v1")), START, 3);
    check(
        &restore,
        &[
            (0, "2/2/4 v2 suspended | v2+* v2+*"),
            (0, "2/2/2 v2 | v2+ v2+ v2."),
            (0, "2/2/2 v2 | v2+ v2+ v1."),
            (0, "2/2/2 v2 suspended | v2+* v2+*"),
            (0, "2/2/2 v2 suspended | v2+ v2+"),
            (0, "2/2/2 v2 | v2+ v2+"),
            (0, "2/2/2 v1 | v2+ v2+"),
            (0, "2/2/2 v2 | v1+ v2+"),
        ],
        expect![[r#"
            2/2/4 v2 suspended | v2+* v2+*               apply: blue: sizes min 2 desired 2 max 2
            2/2/2 v2 | v2+ v2+ v2.                       wait: the group is returning to its size: 3 instances are there, 2 stay
            2/2/2 v2 | v2+ v2+ v1.                       apply: blue: protect 2 instances from scale-in
            2/2/2 v2 suspended | v2+* v2+*               apply: blue: stop protecting 2 instances
            2/2/2 v2 suspended | v2+ v2+                 apply: blue: resume rebalancing between zones
            2/2/2 v2 | v2+ v2+                           finish, clean: true
            2/2/2 v1 | v2+ v2+                           apply: blue: new instances start from v2
            2/2/2 v2 | v1+ v2+                           apply: blue: sizes min 3 desired 3 max 3
        "#]],
    );
}

#[test]
fn the_way_back_gives_stable_back_first() {
    let forward = at_step(deployment(Some("v1")), START, 0);
    let abort = Command::Abort {
        reason: "second thoughts".into(),
    };
    let back = forward.command(abort, "ada", UnixMs(0)).unwrap();
    check(
        &back,
        &[
            (0, "4/4/4 v2 suspended | v1+ v1+ v2. v2."),
            (0, "4/4/4 v1 suspended | v1+ v1+ v2. v2."),
            (0, "4/4/4 v1 suspended | v1+ v2. v2. v2."),
            (0, "2/2/4 v1 suspended | v2+ v2+"),
        ],
        expect![[r#"
            4/4/4 v2 suspended | v1+ v1+ v2. v2.         apply: blue: new instances start from v1
            4/4/4 v1 suspended | v1+ v1+ v2. v2.         next step
            4/4/4 v1 suspended | v1+ v2. v2. v2.         apply: blue: replace instance i1
            2/2/4 v1 suspended | v2+ v2+                 apply: blue: sizes min 4 desired 4 max 4
        "#]],
    );
}

#[test]
fn a_paused_deployment_waits_and_says_who_holds_it() {
    let paused = at_step(deployment(Some("v1")), START, 0)
        .command(Command::Pause, "ada", UnixMs(0))
        .unwrap();
    check(
        &paused,
        &[(999, START)],
        expect![[r#"
            2/2/2 v1 | v1+ v1+                           wait: paused by ada
        "#]],
    );
}

#[test]
fn what_was_turned_round_before_the_first_change_just_ends() {
    let abort = Command::Abort {
        reason: "typo".into(),
    };
    let aborted = deployment(Some("v1"))
        .command(abort, "ada", UnixMs(0))
        .unwrap();
    check(
        &aborted,
        &[(0, START)],
        expect![[r#"
        2/2/2 v1 | v1+ v1+                           finish, clean: true
    "#]],
    );
}

#[test]
fn an_effect_is_not_asked_for_again_before_it_could_be_seen() {
    let fill = at_step(deployment(Some("v1")), START, 0);
    let effect = Effect::SetLaunch {
        slice: Slice::Blue,
        launch: Some(launch("v2")),
    };
    let asked = fill.after(&Decision::Apply(effect).into(), UnixMs(0));
    check(
        &asked,
        &[(1, START), (3, START)],
        expect![[r#"
            2/2/2 v1 | v1+ v1+                           wait: the provider accepted a request (blue: new instances start from v2) and does not show its effect yet
            2/2/2 v1 | v1+ v1+                           apply: blue: new instances start from v2
        "#]],
    );
}

#[test]
fn commands_that_make_no_sense_are_refused_with_what_to_do() {
    let running = at_step(deployment(Some("v1")), START, 0);
    let refused = running
        .clone()
        .command(Command::Resume, "ada", UnixMs(0))
        .unwrap_err();
    assert_eq!(refused.to_string(), "this deployment is not paused");
    let abort = Command::Abort {
        reason: String::new(),
    };
    let back = running.command(abort.clone(), "ada", UnixMs(0)).unwrap();
    let refused = back.command(abort, "ada", UnixMs(0)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this deployment is already being rolled back"
    );
}

#[test]
fn a_group_that_grew_to_its_limit_turns_round_instead_of_succeeding() {
    let mut deployment = deployment(Some("v1"));
    deployment.target.group.size_limit = Some(3);
    let recorded = at_step(deployment, "3/3/3 v1 | v1+ v1+ v1+", 0);
    assert_eq!(recorded.progress.course, Course::RollingBack);
    assert_eq!(
        recorded.failure.unwrap().sentence(&Versions::default()),
        "the group keeps 3 instances now, and its size limit leaves no room to start one new instance"
    );
}

#[test]
fn says_why_instances_do_not_start() {
    let fill = at_step(deployment(Some("v1")), START, 0);
    let mut short = seen("4/4/4 v2 suspended | v1+ v1+");
    short.slices.get_mut(&Slice::Blue).unwrap().trouble = Some("no quota".to_owned());
    for at_ms in [9_000, 61_000] {
        let told = say(&decide(&fill, &short, &[], UnixMs(at_ms)));
        let (sentence, _) = told.split_once("; gives up at").unwrap_or((&told, ""));
        assert!(
            sentence.ends_with("; the provider says: no quota"),
            "{told}"
        );
    }
}
