//! What keeps releases apart from each other and from the cloud.

use std::fs;

use domain::slice::Slice;
use provider_local::client::ensure_running;
use rustix::process::{Pid, Signal, kill_process};

use crate::stage::Stage;

#[tokio::test]
async fn an_instance_gets_no_descriptor_of_the_cloud() {
    let stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    let pid = stage.pids().await[0];
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = descriptors.filter_map(|it| {
        let number: u32 = it.file_name().to_str()?.parse().ok()?;
        Some((number, fs::read_link(it.path()).ok()?))
    });
    for (number, target) in targets.filter(|(number, _)| *number > 2) {
        let own = target.to_string_lossy().starts_with("socket:");
        assert!(own, "descriptor {number} is {}", target.display());
    }
}

#[tokio::test]
async fn the_cloud_gets_nothing_of_the_environment_of_the_control_plane() {
    let mut stage = Stage::start().await;
    stage.kill_daemon();
    let status = ensure_running(&stage.launcher()).await.unwrap();
    let environ = fs::read(format!("/proc/{}/environ", status.pid));
    // Only root may read it, as the process is shut off.
    let environ = String::from_utf8(environ.unwrap_or_default()).unwrap();
    stage.cloud.shut_down(true).await.unwrap();
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!environ.contains("CARGO_MANIFEST_DIR"), "{environ}");
}

#[tokio::test]
async fn a_changed_release_is_not_started_again() {
    let stage = Stage::start().await;
    stage.serve_one_zero(2).await;
    let members = stage.members();
    let folder = |member: &serde_json::Value| member["folder"].as_str().unwrap().to_owned();
    assert_eq!(folder(&members[0]), folder(&members[1]), "unpacked once");
    let procfile = std::path::Path::new(&folder(&members[0])).join("Procfile");
    fs::write(procfile, "web: exit 3\n").unwrap();
    let killed = stage.pids_of(Slice::Blue).await[0];
    kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
    stage
        .until("it is replaced", |slice| {
            let id = members[0]["id"].as_str().unwrap();
            slice.healthy() == 2 && slice.instances.iter().all(|it| it.id.0 != id)
        })
        .await;
    let folders: Vec<String> = stage.members().iter().map(folder).collect();
    assert_ne!(folders[0], folders[1], "the new one runs what was uploaded");
}
