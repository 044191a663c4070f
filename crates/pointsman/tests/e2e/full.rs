//! The one-machine cloud cannot write for a while, as on a full disk, in each phase of a deployment.

use std::{fs, io::ErrorKind, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::time::sleep;

use crate::world::{World, assert_unharmed, until};

/// How long nothing can be written.
const FULL: Duration = Duration::from_secs(10);
const TOLD: &str = "the one-machine cloud cannot save its state (";

/// Makes every write of the cloud's state fail while it is there: the name that each new state is
/// written under is taken.
struct Full(PathBuf);

impl Full {
    fn of(world: &World) -> Self {
        let part = world.folder().join("cloud/state.json.part");
        loop {
            match fs::create_dir(&part) {
                Ok(()) => return Self(part),
                // The cloud itself uses this name for moments.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", part.display()),
            }
        }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).expect("the folder is ours");
    }
}

async fn reaches(world: &World, id: &str, step: &str) {
    until(&format!("the step {step}"), async || {
        let deployment = world.deployment(id).await;
        let at = usize::try_from(deployment["step"].as_u64()?).ok()?;
        (deployment["steps"][at]["step"] == step).then_some(())
    })
    .await;
}

/// What the deployment waits for, in words.
async fn wait(world: &World, id: &str) -> Option<String> {
    let deployment = world.deployment(id).await;
    let sentence = |waiting: &Value| waiting["sentence"].as_str().map(str::to_owned);
    sentence(&deployment["waiting"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_cannot_write_makes_deployments_wait_and_say_why() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    for (round, step) in ["fill", "bake", "retire"].into_iter().enumerate() {
        let version = if round % 2 == 0 { "1.1.0" } else { "1.0.0" };
        let full = (step == "fill").then(|| Full::of(&world));
        let id = world.begin(version, &["--bake", "2s"]).await;
        let slow = if step == "retire" {
            // Requests under way keep the old instances, so that this step lasts.
            reaches(&world, &id, "bake").await;
            Some(world.slow_requests(64, "4500").await)
        } else {
            None
        };
        let full = match full {
            Some(full) => full,
            None => {
                reaches(&world, &id, step).await;
                Full::of(&world)
            }
        };
        if step != "retire" {
            until(&format!("{step}: it says why"), async || {
                let wait = wait(&world, &id).await?;
                wait.contains(TOLD).then_some(())
            })
            .await;
        }
        sleep(FULL).await;
        drop(full);
        let ended = world.ended(&id).await;
        assert_eq!(ended["status"], "succeeded", "full in {step}: {ended:#}");
        assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
        if let Some(slow) = slow {
            assert_eq!(slow.join_all().await, [200; 64], "full in {step}");
        }
        assert_unharmed(&load.counts());
    }
    assert_unharmed(&load.stop().await);
}
