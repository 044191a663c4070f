//! People steer deployments, and governance says no.

use crate::world::{World, assert_unharmed, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_held_deployment_waits_and_goes_on() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.1.0", &["--bake", "1s"]).await;
    world.ok(&["pause", &id]).await;
    assert_eq!(world.deployment(&id).await["status"], "paused");
    world.fails(&["pause", &id], 3).await;
    let paused = world.ok(&["status", "storefront", "-e", "staging"]).await;
    assert!(paused.contains("1.1.0 paused"), "{paused}");
    world.ok(&["resume", "storefront", "-e", "staging"]).await;
    world.ok(&["watch", &id]).await;
    assert_eq!(world.deployment(&id).await["status"], "succeeded");
    world.fails(&["resume", &id], 3).await;
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn abort_and_rollback_bring_stable_back() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    for (verb, status) in [("abort", "aborted"), ("rollback", "rolled_back")] {
        let id = world.begin("1.1.0", &["--bake", "60s"]).await;
        until("new instances get users", async || {
            load.counts().releases.contains_key("1.1.0").then_some(())
        })
        .await;
        world.ok(&[verb, &id, "--reason", "second thoughts"]).await;
        let ended = world.ended(&id).await;
        assert_eq!(ended["status"], status, "{ended:#}");
        assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
        assert_eq!(world.status().await["live"]["version"], "1.0.0");
    }
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_deployment_is_rolled_back_by_rolling_forward() {
    let world = World::with_live_shop().await;
    world
        .ok(&[
            "deploy",
            "storefront",
            "1.1.0",
            "-e",
            "staging",
            "--bake",
            "0s",
        ])
        .await;
    let load = world.load().await;
    world.ok(&["rollback", "storefront", "-e", "staging"]).await;
    assert_eq!(world.status().await["live"]["version"], "1.0.0");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn governance_refuses_with_every_reason_at_once() {
    let world = World::with_live_shop().await;
    let refused = world
        .fails(&["deploy", "storefront", "1.0.0", "-e", "staging"], 3)
        .await;
    assert!(
        refused.contains("is already live in staging") && refused.contains("--force"),
        "{refused}"
    );
    world
        .ok(&[
            "environment",
            "lock",
            "staging",
            "--reason",
            "release night",
        ])
        .await;
    world
        .ok(&[
            "release",
            "withdraw",
            "storefront",
            "1.1.0",
            "--reason",
            "wrong prices",
        ])
        .await;
    let refused = world
        .fails(&["deploy", "storefront", "1.1.0", "-e", "staging"], 3)
        .await;
    for reason in [
        "release night",
        "wrong prices",
        "pointsman environment unlock staging",
    ] {
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
    let same = world
        .fails(&["plan", "storefront", "1.1.0", "-e", "staging"], 3)
        .await;
    assert!(same.contains("release night"), "{same}");
    world.ok(&["environment", "unlock", "staging"]).await;
    for (args, reason) in [
        (
            ["deploy", "storefront", "9.9.9", "-e", "staging"],
            "has no release 9.9.9",
        ),
        (
            ["deploy", "cart", "1.0.0", "-e", "production"],
            "may not be deployed to",
        ),
        (
            ["deploy", "storefront", "1.0.0", "-e", "nowhere"],
            "nowhere is not in the catalogue",
        ),
        (
            ["deploy", "nothing", "1.0.0", "-e", "staging"],
            "nothing is not in the catalogue",
        ),
    ] {
        let refused = world.fails(&args, 3).await;
        assert!(refused.contains(reason), "{args:?}: {refused}");
    }
    world.begin("1.2.0", &[]).await;
    let refused = world
        .fails(&["deploy", "storefront", "1.2.0", "-e", "staging"], 3)
        .await;
    assert!(refused.contains("is already running"), "{refused}");
}
