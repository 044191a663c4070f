//! The one-machine cloud with real processes: the provider contract, restarts, drains, refusals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apart;
mod believing;
mod counted;
mod mirror;
mod routing;
mod saving;
mod stage;
mod two;
mod users;

use std::{os::unix::fs::PermissionsExt, time::Duration};

use domain::{
    effect::Effect,
    observation::{InstanceState, Sizes},
    slice::Slice,
    users::Weights,
};
use engine::{ports::ErrorKind, testing::contract::provider_contract};
use futures_util::StreamExt;
use provider_local::{client::ensure_running, wire::LogsQuery};
use stage::{Stage, pids_alive};

#[tokio::test]
async fn passes_the_provider_contract() {
    let stage = Stage::start().await;
    provider_contract(&stage.cloud, &stage).await;
}

#[tokio::test]
async fn a_killed_daemon_finds_its_instances_again_and_serves_within_two_seconds() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(3).await;
    let before = stage.pids().await;
    assert_eq!(before.len(), 3);

    stage.kill_daemon();
    assert!(pids_alive(&before), "instances survive the daemon");
    let started = std::time::Instant::now();
    stage.start_daemon().await;
    assert_eq!(stage.get("/").await.unwrap().0, 200);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(stage.pids().await, before, "the same processes");
    stage
        .until("all three are still healthy", |slice| slice.healthy() == 3)
        .await;
}

#[tokio::test]
async fn an_instance_that_was_killed_is_replaced() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let killed = *stage.pids().await.first().unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(killed).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    stage
        .until("two new ones", |slice| {
            slice.healthy() == 2 && slice.instances.len() == 2
        })
        .await;
    for _ in 0..200 {
        if !stage.pids().await.contains(&killed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the killed process is still listed");
}

#[tokio::test]
async fn requests_in_flight_are_finished_before_an_instance_stops() {
    let stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    let slow = stage.get("/slow");
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stage.sizes(0).await;
    };
    let (answer, ()) = tokio::join!(slow, stop);
    assert_eq!(answer.unwrap().0, 200, "the slow request was answered");
    stage
        .until("it is gone", |slice| slice.instances.is_empty())
        .await;
    assert_eq!(stage.get("/").await.unwrap().0, 503);
}

#[tokio::test]
async fn a_release_that_never_is_healthy_gets_no_users() {
    let stage = Stage::start().await;
    let launch = stage.broken_launch("3.0.0");
    stage
        .apply(Effect::SetLaunch {
            slice: Slice::Blue,
            launch: Some(launch),
        })
        .await;
    stage
        .apply(Effect::SetTraffic {
            weights: Weights::from([(Slice::Blue, 100)]),
            mirror: None,
        })
        .await;
    stage.sizes(2).await;
    stage
        .until("two that boot", |slice| slice.instances.len() == 2)
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let slice = stage.look().await;
    assert!(
        slice
            .instances
            .iter()
            .all(|i| i.state == InstanceState::Pending)
    );
    assert_eq!(stage.get("/").await.unwrap().0, 503);
    let told = r#" answers GET /health with 500: "3.0.0 "#;
    stage
        .until("it says why", |slice| {
            slice.trouble.as_ref().is_some_and(|it| it.contains(told))
        })
        .await;
}

#[tokio::test]
async fn a_release_that_ends_at_once_says_how_until_one_is_healthy() {
    let stage = Stage::start().await;
    let launch = Some(stage.broken_launch("4.0.0"));
    let slice = Slice::Blue;
    stage.apply(Effect::SetLaunch { slice, launch }).await;
    stage.sizes(1).await;
    let told = ", with exit status 3; see `pointsman logs cart -e live -i i-0000";
    stage
        .until("it says how it ended", |slice| {
            slice.trouble.as_ref().is_some_and(|it| {
                it.starts_with("i-0000")
                    && it.contains(" ended by itself after ")
                    && it.contains(told)
            })
        })
        .await;
    stage.serve_one_zero(1).await;
    assert_eq!(stage.look().await.trouble, None, "all is well again");
}

#[tokio::test]
async fn senseless_requests_are_refused_and_say_why() {
    let stage = Stage::start().await;
    let sizes = Sizes {
        min: 3,
        desired: 2,
        max: 2,
    };
    let refused = stage
        .try_apply(Effect::SetSizes {
            slice: Slice::Blue,
            sizes,
        })
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("does not hold"), "{refused}");
    let mut launch = stage.launch_one();
    let digest = domain::release::Digest::from_bytes([9; 32]);
    launch.content = domain::release::Content::package(digest);
    let missing = Effect::SetLaunch {
        slice: Slice::Blue,
        launch: Some(launch),
    };
    let refused = stage.try_apply(missing).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Missing, "{refused}");
}

#[tokio::test]
async fn the_socket_is_its_owners_and_one_daemon_has_the_folder() {
    let stage = Stage::closed().await;
    let mode = |name: &str| {
        std::fs::metadata(stage.state().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("local.sock"), 0o600);
    assert_eq!(mode("."), 0o700);
    let second = stage.run_daemon_to_its_end();
    assert!(second.contains("already runs"), "{second}");
}

#[tokio::test]
async fn ensure_running_starts_a_daemon_once() {
    let stage = Stage::start().await;
    let first = ensure_running(&stage.launcher()).await.unwrap();
    let again = ensure_running(&stage.launcher()).await.unwrap();
    assert_eq!(first.pid, again.pid);
}

#[tokio::test]
async fn logs_come_with_the_id_of_their_instance_and_go_on() {
    let stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    let query = LogsQuery {
        place: stage.place(),
        instance: None,
        lines: 10,
        follow: true,
    };
    let mut logs = Box::pin(stage.cloud.logs(&query).await.unwrap());
    let first = tokio::time::timeout(Duration::from_secs(5), logs.next())
        .await
        .unwrap();
    let text = String::from_utf8(first.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("i-00001 | listening on "), "{text}");
    stage.sizes(2).await;
    let next = tokio::time::timeout(Duration::from_secs(5), logs.next())
        .await
        .unwrap();
    let text = String::from_utf8(next.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("i-00002 | listening on "), "{text}");
}

#[tokio::test]
async fn a_daemon_that_is_told_to_stop_everything_leaves_nothing() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let pids = stage.pids().await;
    stage.cloud.shut_down(true).await.unwrap();
    for _ in 0..500 {
        if pids.iter().all(|pid| !pids_alive(&[*pid])) && stage.cloud.status().await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("processes or the daemon are still there");
}
