//! Two slices side by side, with real processes.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use domain::{effect::Effect, slice::Slice};
use engine::ports::ErrorKind;

use crate::stage::{Stage, pids_alive};

/// How many of the requests each version answers. All of them must be answered.
async fn versions(stage: &Stage, many: u32, fields: &str) -> BTreeMap<String, u32> {
    let mut versions = BTreeMap::new();
    for _ in 0..many {
        let (status, answer) = stage.get_with("/", fields).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let body = answer.rsplit("\r\n").next().unwrap_or_default();
        let version = body.split(' ').next().unwrap_or_default();
        *versions.entry(version.to_owned()).or_default() += 1;
    }
    versions
}

fn all(version: &str, many: u32) -> BTreeMap<String, u32> {
    BTreeMap::from([(version.to_owned(), many)])
}

/// A slow request on blue is finished while blue goes and green serves.
async fn retire_blue_under_a_slow_request(stage: &Stage) {
    let busy = r#"in_flight{service="cart",environment="live",slice="blue",release="1.0.0"} 1"#;
    let (slow, ()) = tokio::join!(stage.get("/slow"), async {
        let mut text = String::new();
        for _ in 0..500 {
            text = stage.metrics("localhost", "/metrics").await.unwrap().1;
            if text.contains(busy) {
                break;
            }
        }
        assert!(text.contains(busy), "{text}");
        stage.shift(100).await;
        stage.sizes_of(Slice::Blue, 0).await;
        assert_eq!(versions(stage, 10, "").await, all("2.0.0", 10));
    });
    let (status, answer) = slow.unwrap();
    assert!(status == 200 && answer.contains("1.0.0 "), "{answer}");
    stage
        .until_seen("blue is gone", |seen| {
            seen.slice(Slice::Blue).instances.is_empty()
        })
        .await;
    assert_eq!(versions(stage, 10, "").await, all("2.0.0", 10));
}

#[tokio::test]
async fn users_are_shifted_to_green_and_back_and_blue_is_retired() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    stage.fill(Slice::Green, "2.0.0", 1).await;
    assert_eq!(
        versions(&stage, 10, "").await,
        all("1.0.0", 10),
        "nobody asked for green"
    );
    stage.shift(100).await;
    assert_eq!(versions(&stage, 10, "").await, all("2.0.0", 10));
    stage.shift(0).await;
    assert_eq!(versions(&stage, 10, "").await, all("1.0.0", 10));
    stage.shift(50).await;
    let split = versions(&stage, 40, "").await;
    assert!(split.values().all(|n| *n >= 10), "{split:?}");
    let traffic = stage.observe().await.traffic;
    assert_eq!(
        traffic[&Slice::Blue].requests,
        20 + u64::from(split["1.0.0"])
    );
    assert_eq!(
        traffic[&Slice::Green].requests,
        10 + u64::from(split["2.0.0"])
    );

    stage.shift(0).await;
    retire_blue_under_a_slow_request(&stage).await;
    stage
        .apply(Effect::SetLaunch {
            slice: Slice::Blue,
            launch: None,
        })
        .await;
    let seen = stage.observe().await;
    assert_eq!(
        (
            seen.slice(Slice::Blue).launches.as_ref(),
            seen.slice(Slice::Green).healthy()
        ),
        (None, 1)
    );
    let (_, text) = stage.metrics("localhost", "/metrics").await.unwrap();
    let requests = seen.traffic[&Slice::Blue].requests;
    assert!(requests >= 31, "the slice keeps its counts: {requests}");
    let place = r#"service="cart",environment="live",slice="blue""#;
    for line in [
        format!("pointsman_router_requests_total{{{place},release=\"1.0.0\"}} {requests}\n"),
        format!("pointsman_router_slice_requests_total{{{place}}} {requests}\n"),
    ] {
        assert!(text.contains(&line), "no scrape misses {line}: {text}");
    }
}

#[tokio::test]
async fn a_killed_daemon_finds_both_slices_again() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    stage.fill(Slice::Green, "2.0.0", 2).await;
    stage.shift(25).await;
    let before = (stage.pids().await, stage.pids_of(Slice::Green).await);
    assert_eq!((before.0.len(), before.1.len()), (1, 2));
    let weights = stage.observe().await.weights;
    stage.kill_daemon();
    assert!(pids_alive(&before.0) && pids_alive(&before.1));
    stage.start_daemon().await;
    assert_eq!(
        (stage.pids().await, stage.pids_of(Slice::Green).await),
        before
    );
    let seen = stage.observe().await;
    assert_eq!(seen.weights, weights);
    assert_eq!(
        (
            seen.slice(Slice::Blue).healthy(),
            seen.slice(Slice::Green).healthy()
        ),
        (1, 2)
    );
    let split = versions(&stage, 40, "").await;
    assert!(split["2.0.0"] >= 5 && split["1.0.0"] >= 20, "{split:?}");
}

#[tokio::test]
async fn a_pass_of_the_daemon_lets_into_green_also_after_a_restart() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    stage.fill(Slice::Green, "2.0.0", 1).await;
    let pass = stage
        .cloud
        .pass(&stage.place(), Slice::Green, 60)
        .await
        .unwrap();
    assert!(!format!("{pass:?}").contains(&pass.token), "never printed");
    let fields = format!("x-pointsman-pass: {}\r\n", pass.token);
    assert_eq!(versions(&stage, 5, &fields).await, all("2.0.0", 5));
    assert_eq!(versions(&stage, 5, "").await, all("1.0.0", 5));
    let traffic = stage.observe().await.traffic;
    assert_eq!(traffic[&Slice::Green].requests, 0, "testers are no users");
    let mode = std::fs::metadata(stage.state().join("pass.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    stage.kill_daemon();
    stage.start_daemon().await;
    assert_eq!(versions(&stage, 5, &fields).await, all("2.0.0", 5));

    for seconds in [0, 7 * 24 * 3600 + 1] {
        let refused = stage
            .cloud
            .pass(&stage.place(), Slice::Green, seconds)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid, "{refused}");
    }
    let mut nowhere = stage.place();
    nowhere.service = "other".parse().unwrap();
    let refused = stage
        .cloud
        .pass(&nowhere, Slice::Green, 60)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Missing, "{refused}");
}
