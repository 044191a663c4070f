//! Crashes at the worst moments: of the control plane, of instances, of the one-machine cloud.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::sleep;

use crate::world::{World, assert_unharmed, until, until_within};

/// The steps of a deployment. After the last one comes "restore".
const STEPS: [&str; 3] = ["fill", "bake", "retire"];

fn step_of(deployment: &Value) -> String {
    let at = deployment["step"].as_u64().expect("a step") as usize;
    let step = deployment["steps"][at]["step"].as_str();
    step.unwrap_or("restore").to_owned()
}

async fn reaches(world: &World, id: &str, step: &str) {
    until(&format!("the step {step}"), async || {
        let deployment = world.deployment(id).await;
        (step_of(&deployment) == step).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_control_plane_finishes_what_it_began() {
    let mut world = World::with_live_shop().await;
    let load = world.load().await;
    for (round, step) in STEPS.into_iter().enumerate() {
        let version = if round % 2 == 0 { "1.1.0" } else { "1.0.0" };
        let id = world.begin(version, &["--bake", "2s"]).await;
        let slow = match step {
            // It lasts for a moment only, and has begun by now.
            "fill" => None,
            "retire" => {
                // Requests under way keep the old instances draining, so that it can be caught.
                reaches(&world, &id, "bake").await;
                let slow = world.slow_requests(64, "4500").await;
                reaches(&world, &id, step).await;
                Some(slow)
            }
            step => {
                reaches(&world, &id, step).await;
                None
            }
        };
        world.kill_server().await;
        world.serve().await;
        let ended = world.ended(&id).await;
        if let Some(slow) = slow {
            assert_eq!(
                slow.join_all().await,
                [200; 64],
                "requests in flight were finished"
            );
        }
        assert_eq!(ended["status"], "succeeded", "killed at {step}: {ended:#}");
        assert_eq!(
            ended["certificate"]["clean"], true,
            "killed at {step}: {ended:#}"
        );
        assert_unharmed(&load.counts());
    }
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_killed_again_and_again_finishes_all_the_same() {
    let mut world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.1.0", &["--bake", "1s"]).await;
    for _ in 0..6 {
        world.kill_server().await;
        world.serve().await;
    }
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_killed_on_the_way_back_goes_on_with_it() {
    let mut world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.2.0", &["--health-deadline", "2s"]).await;
    until("it turns round", async || {
        let deployment = world.deployment(&id).await;
        (deployment["status"] != "running").then_some(())
    })
    .await;
    world.kill_server().await;
    world.serve().await;
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "rolled_back", "{ended:#}");
    assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_instances_are_replaced_and_the_deployment_succeeds() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.1.0", &["--bake", "3s"]).await;
    reaches(&world, &id, "bake").await;
    let processes = world.instance_processes();
    assert!(processes.len() >= 8, "old and new ones: {processes:?}");
    // One of each half: the oldest and the newest process.
    let victims = [processes[0], processes[processes.len() - 1]];
    for victim in victims {
        kill_process(victim, Signal::KILL).expect("it ran");
    }
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    let counts = load.stop().await;
    // What was being answered by a killed process is lost; nothing else is.
    assert!(
        counts.failed <= 30,
        "{} failed: {:?}",
        counts.failed,
        counts.reasons
    );
    let status = world.status().await;
    let instances = status["observation"]["instances"]
        .as_array()
        .expect("instances")
        .clone();
    assert_eq!(instances.len(), 4, "{instances:#?}");
    assert!(
        instances.iter().all(|i| i["version"] == "1.1.0"),
        "{instances:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_cloud_adopts_its_processes_and_serves_again() {
    for signal in [Signal::TERM, Signal::KILL] {
        let world = World::with_live_shop().await;
        let mut before = world.instance_processes();
        let cloud = world.cloud_process().expect("a cloud");
        kill_process(cloud, signal).expect("it ran");
        until("the cloud ends", async || {
            (world.cloud_process() != Some(cloud)).then_some(())
        })
        .await;
        // The control plane starts it again when it looks.
        world.cli(&["status", "storefront", "-e", "staging"]).await;
        until_within(
            "users are served again",
            Duration::from_secs(2),
            async || {
                let load = world.load().await;
                sleep(Duration::from_millis(100)).await;
                let counts = load.stop().await;
                (counts.requests > 0 && counts.failed == 0).then_some(())
            },
        )
        .await;
        let mut after: Vec<Pid> = world.instance_processes();
        before.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
        after.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
        assert_eq!(before, after, "the same processes, after {signal:?}");
        let load = world.load().await;
        world
            .ok(&[
                "deploy",
                "storefront",
                "1.1.0",
                "-e",
                "staging",
                "--bake",
                "1s",
            ])
            .await;
        assert_unharmed(&load.stop().await);
    }
}
