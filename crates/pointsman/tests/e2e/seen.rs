//! A gate sees what users see: pages that are missing, answers that never come, answers that break off.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{World, group};

/// How long a user waits for a page.
const PATIENCE: Duration = Duration::from_secs(2);
/// Users that ask for a page again and again.
const USERS: usize = 30;

/// A release of the storefront whose pages have this fault.
async fn release(world: &World, version: &str, fault: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let procfile = "web: \"${SHOP_SERVER:-pointsman}\" shop-server\n";
    let settings = format!("SERVICE=storefront\nVERSION={version}\nFAULT={fault}\n");
    fs::write(folder.path().join("Procfile"), procfile).expect("written");
    fs::write(folder.path().join("release.env"), settings).expect("written");
    let artifact = folder.path().to_str().expect("text");
    let create = ["release", "create", "storefront", version, "--artifact"];
    world.ok(&[&create[..], &[artifact]].concat()).await;
}

/// Users who give up after a while, until they are dropped.
async fn impatient_users(world: &World) -> JoinSet<()> {
    let (client, url) = world.client().await;
    let mut users = JoinSet::new();
    for _ in 0..USERS {
        let (client, url) = (client.clone(), url.clone());
        users.spawn(async move {
            loop {
                let answer = client.get(&url).timeout(PATIENCE).send().await;
                if let Ok(answer) = answer {
                    // An answer that broke off is what this test is about.
                    let _ = answer.bytes().await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_users_cannot_use_are_rolled_back_at_the_first_share() {
    let world = World::with_shop().await;
    let mut settings = group("storefront", "staging");
    settings["slices"] = json!(2);
    world.apply(&settings).await;
    let first = ["deploy", "storefront", "1.0.0", "-e", "staging"];
    world.ok(&[&first[..], &["--bake", "0s"]].concat()).await;
    let _users = impatient_users(&world).await;
    for (version, fault) in [("4.1.0", "missing"), ("4.2.0", "hang"), ("4.3.0", "cut")] {
        release(&world, version, fault).await;
        let canary = ["--strategy", "canary", "--steps", "25%:60s,50%:60s"];
        let deploy = ["deploy", "storefront", version, "-e", "staging"];
        let ran = world
            .cli(&[&deploy[..], &canary, &["--gate-traffic"]].concat())
            .await;
        assert_eq!(ran.code, 1, "{fault}: {ran:#?}");
        let back = "rolled back: 1.0.0 is live";
        assert!(ran.stdout.contains(back), "{fault}: {ran:#?}");
        let last = world.json(&["deployment", "list", "--limit", "1"]).await;
        let looks = world
            .json(&["looks", last[0]["id"].as_str().expect("an id")])
            .await;
        let looks = looks.as_array().expect("looks");
        let steps: Vec<&Value> = looks.iter().map(|look| &look["step"]).collect();
        assert!(
            steps.iter().all(|step| *step == steps[0]),
            "{fault}: it came beyond the first share: {looks:#?}"
        );
    }
}
