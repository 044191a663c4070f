//! The journal's format: records that older versions wrote must stay readable.
//!
//! When the first test fails, the format changed. If old records can still be read (the second test
//! says so), copy the old file to `golden/` under a new name, add it to `OLD`, and run the tests
//! once with `UPDATE_EXPECT=1`.

use domain::{
    deployment::{
        Certificate, CertificateLine, Command, Deployment, Ending, Held, Outcome, Request,
    },
    effect::{Effect, Target},
    event::{Event, What},
    names::DeploymentId,
    observation::{InstanceId, Sizes},
    plan::{Baseline, SliceBaseline, Strategy, instance_refresh::InstanceRefresh},
    reason::{Failure, Waiting},
    release::{Content, Launch, LaunchId},
    slice::Slice,
    time::{DrivenMs, UnixMs},
};
use expect_test::expect_file;
use serde_json::{Value, json};
use store::catalogue::Change;

use crate::world::{digest, place, running, server_group, wish};

/// Files as they were written by earlier versions; never edited.
const OLD: [&str; 1] = [include_str!("../golden/0001.json")];

#[test]
fn the_format_is_the_golden_one() {
    let now = serde_json::to_string_pretty(&records()).unwrap() + "\n";
    expect_file!["../golden/current.json"].assert_eq(&now);
}

#[test]
fn old_records_stay_readable() {
    for file in OLD {
        let file: Value = serde_json::from_str(file).unwrap();
        let deployments: Vec<Deployment> =
            serde_json::from_value(file["deployments"].clone()).unwrap();
        let events: Vec<Event> = serde_json::from_value(file["events"].clone()).unwrap();
        assert!(!deployments.is_empty() && !events.is_empty());
        let ending = deployments.iter().find_map(|d| d.ending.as_ref());
        assert_eq!(ending.unwrap().outcome, Outcome::RolledBack);
    }
}

#[test]
fn what_is_written_can_be_read() {
    let records = records();
    let read: Vec<Deployment> = serde_json::from_value(records["deployments"].clone()).unwrap();
    assert_eq!(read, deployments());
    let read: Vec<Event> = serde_json::from_value(records["events"].clone()).unwrap();
    assert_eq!(read, events());
}

fn records() -> Value {
    json!({"deployments": deployments(), "events": events()})
}

fn launch(id: &str, version: &str) -> Launch {
    Launch {
        id: LaunchId(id.to_owned()),
        version: version.parse().unwrap(),
        content: Content::package(digest(version)),
    }
}

/// One that begins, one in the middle, one that is paused, one that ended, with every field set.
fn deployments() -> Vec<Deployment> {
    let Change::Put { body, .. } = server_group("cart", "live", 4) else {
        unreachable!("a server group is put");
    };
    let request = Request {
        id: DeploymentId("019aa000-0000-7000-8000-000000000001".to_owned()),
        target: Target::local(place("cart", "live"), serde_json::from_value(body).unwrap()),
        strategy: wish("cart", "live", "2.0.0").strategy,
        launch: launch("l2", "2.0.0"),
        stable: Some(launch("l1", "1.0.0")),
        requested_by: "ann".to_owned(),
        requested_at: UnixMs(1_700_000_000_000),
    };
    let begun = Deployment::new(request, &running(4));
    let mut filling = begun.clone();
    filling.baseline = Some(Baseline {
        roles: filling.roles,
        slices: [(
            Slice::Blue,
            SliceBaseline {
                sizes: Sizes {
                    min: 4,
                    desired: 4,
                    max: 8,
                },
                launch: Some(launch("l1", "1.0.0")),
                rebalancing_suspended: false,
                protected: [InstanceId("i-1".to_owned())].into(),
                present: [LaunchId("l1".to_owned())].into(),
            },
        )]
        .into(),
        weights: [(Slice::Blue, 100)].into(),
    });
    filling.waiting = Some(Waiting::Confirming { stale_ms_max: 500 });
    filling.effects_spent = 3;
    let effect = Effect::Replace {
        slice: Slice::Blue,
        instance: InstanceId("i-9".to_owned()),
    };
    filling.last_effect = Some((effect, DrivenMs(500)));
    filling.progress.held = Some(Held::since(DrivenMs(1000)));
    filling.version = 7;
    let at = UnixMs(1_700_000_002_000);
    let paused = filling.clone().command(Command::Pause, "bob", at).unwrap();
    let back = Command::RollBack {
        reason: "it loses orders".to_owned(),
    };
    let mut ended = paused.clone().command(back, "bob", at).unwrap();
    ended.failure = Some(Failure::StableLost {
        first: "one".to_owned(),
        then: "two".to_owned(),
    });
    ended.ending = Some(Ending {
        outcome: Outcome::RolledBack,
        at,
        certificate: Certificate {
            lines: vec![CertificateLine {
                field: "blue max".to_owned(),
                before: "8".to_owned(),
                intended: "8".to_owned(),
                seen: "8".to_owned(),
            }],
        },
    });
    vec![begun, filling, paused, ended, refreshing()]
}

/// One whose instances AWS replaces.
fn refreshing() -> Deployment {
    let Change::Put { body, .. } = server_group("cart", "live", 4) else {
        unreachable!("a server group is put");
    };
    let request = Request {
        id: DeploymentId("019aa000-0000-7000-8000-000000000002".to_owned()),
        target: Target::local(place("cart", "live"), serde_json::from_value(body).unwrap()),
        strategy: Strategy::InstanceRefresh(InstanceRefresh {
            checkpoints: vec![50],
            alarms: vec!["errors".to_owned()],
            ..InstanceRefresh::default()
        }),
        launch: launch("l4", "4.0.0"),
        stable: Some(launch("l3", "3.0.0")),
        requested_by: "ann".to_owned(),
        requested_at: UnixMs(1_700_000_000_000),
    };
    let mut refreshing = Deployment::new(request, &running(4));
    refreshing.waiting = Some(Waiting::Refreshing {
        text: "InProgress".to_owned(),
        percent: 50,
        deadline: UnixMs(1_700_000_900_000),
    });
    let slice = Slice::Blue;
    refreshing.last_effect = Some((Effect::RollBackRefresh { slice }, DrivenMs(500)));
    refreshing.failure = Some(Failure::RefreshEnded {
        text: "Cancelled".to_owned(),
    });
    refreshing
}

fn events() -> Vec<Event> {
    let kinds = [
        What::Requested,
        What::Recorded,
        What::StepStarted { step: 1 },
        What::Applied {
            effect: Effect::SetTraffic {
                weights: [(Slice::Blue, 90), (Slice::Green, 10)].into(),
                mirror: None,
            },
        },
        What::Waiting {
            waiting: Waiting::Weights,
        },
        What::Commanded {
            command: "pause".to_owned(),
            by: "bob".to_owned(),
        },
        What::ClockSet { by_ms: -7_200_000 },
        What::RollingBack,
        What::Finished {
            outcome: Outcome::RolledBack,
        },
    ];
    kinds
        .into_iter()
        .map(|what| Event {
            at: UnixMs(1_700_000_000_000),
            message: format!("{what:?}"),
            what,
        })
        .collect()
}
