//! What the cloud writes down: nothing is acknowledged or started that a crash would forget.

use std::{fs, time::Duration};

use domain::{effect::Effect, slice::Slice, users::Weights};
use engine::ports::ErrorKind;
use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Stage, pids_alive};

/// Makes saving fail for as long as it is there, as a full disk does.
struct NoRoom(std::path::PathBuf);

impl NoRoom {
    fn of(stage: &Stage) -> Self {
        let path = stage.state().join("state.json.part");
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn end(self) {
        fs::remove_dir(self.0).unwrap();
    }
}

const TOLD: &str = "the one-machine cloud cannot save its state (";

#[tokio::test]
async fn what_cannot_be_saved_is_not_acknowledged_and_not_done() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    stage.fill(Slice::Green, "2.0.0", 1).await;
    let full = NoRoom::of(&stage);
    let weights = Weights::from([(Slice::Green, 100)]);
    let shift = || Effect::SetTraffic {
        weights: weights.clone(),
        mirror: None,
    };
    let refused = stage.try_apply(shift()).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable, "asked again later");
    assert!(refused.message.contains(TOLD), "{refused}");
    let told = stage.look().await.trouble.unwrap();
    assert!(told.starts_with(TOLD), "{told}");
    let (_, answer) = stage.get("/").await.unwrap();
    assert!(answer.contains("1.0.0 "), "users stay: {answer}");
    full.end();
    stage
        .until("it is over", |slice| slice.trouble.is_none())
        .await;
    stage.apply(shift()).await;
    stage.kill_daemon();
    stage.start_daemon().await;
    let (_, answer) = stage.get("/").await.unwrap();
    assert!(
        answer.contains("2.0.0 "),
        "what was acknowledged stays: {answer}"
    );
}

#[tokio::test]
async fn nothing_is_started_that_is_not_written_down() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let pids = stage.pids().await;
    let full = NoRoom::of(&stage);
    kill_process(Pid::from_raw(pids[0]).unwrap(), Signal::KILL).unwrap();
    stage
        .until("it is missed", |slice| slice.instances.len() == 1)
        .await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(stage.processes(), [pids[1]], "no other one is started");
    full.end();
    stage
        .until("it goes on by itself", |slice| slice.healthy() == 2)
        .await;
}

#[tokio::test]
async fn processes_that_nobody_wrote_down_are_ended_and_ids_are_used_once() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let pids = stage.pids().await;
    stage.kill_daemon();
    fs::remove_file(stage.state().join("state.json")).unwrap();
    stage.start_daemon().await;
    for _ in 0..500 {
        if pids.iter().all(|pid| !pids_alive(&[*pid])) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.processes(), [0; 0], "nobody would ever end them");
    stage.serve_one_zero(1).await;
    assert_eq!(stage.look().await.instances[0].id.0, "i-00003");
}

#[tokio::test]
async fn the_control_socket_is_made_again() {
    let stage = Stage::start().await;
    fs::remove_file(stage.state().join("local.sock")).unwrap();
    for _ in 0..500 {
        if stage.cloud.status().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody reaches it any more");
}
