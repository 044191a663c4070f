//! What the cloud believes of an instance: only its own answer, and nothing that fails for another
//! reason.

use std::{
    io::{Read, Write},
    time::Duration,
};

use domain::{
    effect::Effect,
    observation::{InstanceState, SliceSeen},
    slice::Slice,
    users::Weights,
};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::stage::{Stage, ask, pids_alive};

/// Starts instances of a version that need not become healthy.
async fn start(stage: &Stage, version: &str, many: u32) {
    let launch = Some(stage.broken_launch(version));
    let slice = Slice::Blue;
    stage.apply(Effect::SetLaunch { slice, launch }).await;
    let weights = Weights::from([(slice, 100)]);
    let mirror = None;
    stage.apply(Effect::SetTraffic { weights, mirror }).await;
    stage.sizes(many).await;
}

fn says(slice: &SliceSeen, text: &str) -> bool {
    slice.trouble.as_ref().is_some_and(|it| it.contains(text))
}

#[tokio::test]
async fn nobody_else_answers_for_an_instance() {
    let stage = Stage::start().await;
    start(&stage, "5.0.0", 1).await;
    stage
        .until("it runs", |slice| slice.instances.len() == 1)
        .await;
    let first = stage.members()[0].clone();
    let port = u16::try_from(first["port"].as_u64().unwrap()).unwrap();
    let stranger = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in stranger.incoming().flatten() {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    let told = format!(
        "is not healthy: port {port} is held by another program (process {})",
        std::process::id()
    );
    stage.until("it says who", |slice| says(slice, &told)).await;
    assert_eq!(
        stage.get("/").await.unwrap().0,
        503,
        "no stranger gets users"
    );
    let id = first["id"].as_str().unwrap();
    stage
        .until("another one was started", |slice| {
            slice.instances.iter().all(|it| it.id.0 != id) && slice.instances.len() == 1
        })
        .await;
    assert_ne!(stage.members()[0]["port"], first["port"]);
}

#[tokio::test]
async fn an_instance_that_listens_elsewhere_says_where() {
    let stage = Stage::start().await;
    start(&stage, "7.0.0", 1).await;
    let told = " only; let it listen on 127.0.0.1 or 0.0.0.0";
    stage
        .until("it says where", |slice| says(slice, told))
        .await;
    assert!(says(&stage.look().await, "listens on 127.0.0.2:"));
}

#[tokio::test]
async fn when_all_turn_ill_at_once_the_last_ones_keep_their_users() {
    let stage = Stage::start().await;
    start(&stage, "6.0.0", 3).await;
    stage
        .until("all are healthy", |slice| slice.healthy() == 3)
        .await;
    let before = stage.pids().await;
    std::fs::write(stage.ill(), "").unwrap();
    stage
        .until("they are ill, and shown so", |slice| {
            let ill = |it: &&domain::observation::Instance| it.state == InstanceState::Unhealthy;
            slice.instances.iter().filter(ill).count() >= 2 && slice.healthy() == 0
        })
        .await;
    for _ in 0..50 {
        assert_eq!(stage.get("/").await.unwrap().0, 200, "they serve as before");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let alive = before.iter().filter(|pid| pids_alive(&[**pid])).count();
    assert!(alive >= 2, "only {alive} of 3 were left alone");
    assert!(says(&stage.look().await, "answers GET /health with 500"));
    std::fs::remove_file(stage.ill()).unwrap();
    stage
        .until("all are healthy again", |slice| {
            slice.healthy() == 3 && slice.instances.len() == 3
        })
        .await;
    assert_eq!(stage.look().await.trouble, None);
}

#[tokio::test]
async fn a_stopped_instance_finishes_its_requests_before_it_ends() {
    let stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    let pid = stage.pids().await[0];
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
        stage
            .until("it says so", |slice| says(slice, "is stopped by a signal"))
            .await;
    };
    let (answer, ()) = tokio::join!(stage.get("/slow"), stop);
    assert_eq!(answer.unwrap().0, 200, "the slow request was answered");
    stage
        .until("another one serves", |slice| {
            slice.healthy() == 1 && slice.instances.len() == 1
        })
        .await;
    assert!(!pids_alive(&[pid]), "it ended");
}

#[tokio::test]
async fn what_an_instance_started_ends_with_it() {
    let stage = Stage::start().await;
    start(&stage, "8.0.0", 2).await;
    stage
        .until("both are healthy", |slice| slice.healthy() == 2)
        .await;
    assert!(
        stage.processes().len() >= 4,
        "two instances, two in the background"
    );
    stage.sizes(0).await;
    stage
        .until("all are gone", |slice| slice.instances.is_empty())
        .await;
    assert_eq!(stage.processes(), [0; 0]);
}

#[tokio::test]
async fn a_cloud_without_descriptors_condemns_nobody() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let before = stage.pids().await;
    let status = stage.cloud.status().await.unwrap();
    let daemon = i32::try_from(status.pid).unwrap();
    let daemon = Pid::from_raw(daemon);
    let limit = |current| Rlimit {
        current: Some(current),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let usual = prlimit(daemon, Resource::Nofile, limit(3)).unwrap();
    // As long as it takes to fail many checks.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answer = ask(status.router_port, "cart.live.localhost", "/", "").await;
    assert_eq!(answer.unwrap().0, 200, "users are served");
    prlimit(daemon, Resource::Nofile, usual).unwrap();
    stage
        .until("it is over", |slice| {
            slice.healthy() == 2 && slice.trouble.is_none()
        })
        .await;
    assert_eq!(stage.pids().await, before, "the same processes");
}

#[tokio::test]
async fn a_start_may_take_as_long_as_its_settings_say() {
    let mut stage = Stage::start().await;
    stage.health = r#"{"interval_ms":50,"start_seconds":1}"#;
    start(&stage, "3.0.0", 1).await;
    let told = "was ended because it was not healthy 1 s after its start; at last it answers GET";
    stage
        .until("it says why it was ended", |slice| says(slice, told))
        .await;
    let log = stage.state().join("logs/cart.live/i-00001.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(told), "{log}");
}

#[tokio::test]
async fn a_command_or_a_connection_can_say_that_an_instance_is_healthy() {
    for health in [
        r#"{"kind":"tcp","interval_ms":50}"#,
        r#"{"kind":"command","command":"test -f Procfile && test -n \"$PORT\"","interval_ms":50}"#,
    ] {
        let mut stage = Stage::start().await;
        stage.health = health;
        start(&stage, "3.0.0", 1).await;
        stage.until(health, |slice| slice.healthy() == 1).await;
        assert_eq!(stage.get("/").await.unwrap().0, 200);
    }
    let mut stage = Stage::start().await;
    stage.health = r#"{"kind":"command","command":"echo no database; exit 7","interval_ms":50}"#;
    start(&stage, "1.0.0", 1).await;
    let told = r#"the command ended with exit status: 7: "no database""#;
    stage.until("it says why", |slice| says(slice, told)).await;
}
