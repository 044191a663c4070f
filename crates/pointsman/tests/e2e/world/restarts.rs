//! Restarts, upgrades and limits of the processes of a world.

use std::{fs, path::PathBuf};

use rustix::process::{Pid, test_kill_process};
use serde_json::Value;

use super::{World, until};

impl World {
    /// The processes of the router, those that leave included.
    pub fn router_processes(&self) -> Vec<Pid> {
        self.processes("router")
    }

    fn state(&self) -> String {
        let state = self.folder().join("cloud");
        state.to_str().expect("text").to_owned()
    }

    /// Ends the cloud as somebody does who wants to install another one; the control plane starts it
    /// again.
    pub async fn restart_cloud(&self) {
        let cloud = self.cloud_process().expect("a cloud");
        let state = self.state();
        let stop = ["local", "--stop", "--leave-instances", "--state-dir"];
        self.ok(&[&stop[..], &[&state]].concat()).await;
        self.until_other_cloud(cloud).await;
    }

    /// Waits until another process is the cloud.
    pub async fn until_other_cloud(&self, than: Pid) {
        until("another cloud runs", async || {
            let cloud = self.cloud_process()?;
            (cloud != than).then_some(())
        })
        .await;
        until("it answers", async || {
            let ran = self.cli(&[&["status"], &super::PLACE[..]].concat()).await;
            (ran.code == 0).then_some(())
        })
        .await;
    }

    /// Starts the control plane from another build, which replaces cloud and router by its own.
    pub async fn upgrade(&mut self, number: u32) {
        let old = self.router_processes();
        self.kill_server().await;
        let program = self.folder().join(format!("pointsman-{number}"));
        fs::copy(env!("CARGO_BIN_EXE_pointsman"), &program).expect("copied");
        self.program = vec![program];
        self.serve().await;
        until(
            "another router runs, and the one before has ended",
            async || {
                let new = self.router_processes();
                let replaced =
                    !new.is_empty() && old.iter().all(|pid| test_kill_process(*pid).is_err());
                replaced.then_some(())
            },
        )
        .await;
    }

    /// Starts the control plane again, with at most so many open files unless it asks for more.
    pub async fn serve_with_soft_limit(&mut self, descriptors: u32) {
        let script = format!("ulimit -Sn {descriptors}; exec \"$0\" \"$@\"");
        let own = self.program.last().cloned().expect("a program");
        self.program = vec![
            PathBuf::from("sh"),
            PathBuf::from("-c"),
            PathBuf::from(script),
            own,
        ];
        self.serve().await;
    }

    /// The port that users reach.
    pub async fn router_port(&self) -> u16 {
        let status = self.status().await;
        let url = status["url"].as_str().expect("an address");
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        port.expect("a port")
    }

    /// The states of the shop's instances, in one word each.
    pub async fn instance_states(&self) -> Vec<String> {
        let status = self.status().await;
        let instances = status["observation"]["instances"].as_array();
        let instances = instances.expect("instances").iter();
        let state = |instance: &Value| instance["state"].as_str().map(str::to_owned);
        instances.filter_map(state).collect()
    }

    /// Ends the one-machine cloud and everything that it runs.
    pub async fn stop_cloud(&self) {
        let state = self.state();
        self.ok(&["local", "--stop", "--state-dir", &state]).await;
    }
}
