//! What this project exists for: releases change, and no user notices.

use std::time::Duration;

use tokio::time::Instant;

use crate::world::{World, assert_unharmed, until};

/// The p99 of the best peer, measured with the same kind of load (HAProxy's run-time API).
const P99_MAX: Duration = Duration::from_millis(29);

#[tokio::test(flavor = "multi_thread")]
async fn ten_deployments_back_and_forth_fail_no_request() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    until("a calm time is measured", async || {
        (load.counts().requests >= 1500).then_some(())
    })
    .await;
    let calm = load.counts().latency.quantile(99).expect("answers");
    let started = Instant::now();
    let before = load.counts();
    for round in 0..10 {
        let version = if round % 2 == 0 { "1.1.0" } else { "1.0.0" };
        world
            .ok(&[
                "deploy",
                "storefront",
                version,
                "-e",
                "staging",
                "--bake",
                "1s",
            ])
            .await;
        let status = world.status().await;
        assert_eq!(status["live"]["version"], version);
    }
    let elapsed = started.elapsed();
    let counts = load.stop().await.since(&before);
    assert_unharmed(&counts);
    let rate = counts.requests as f64 / elapsed.as_secs_f64();
    let p99 = counts.latency.quantile(99).expect("answers");
    println!(
        "{} requests, {rate:.0}/s, p99 {p99:?} (calm {calm:?}), ten deployments in {elapsed:?}",
        counts.requests
    );
    assert!(rate >= 500.0, "only {rate:.0} requests/s");
    // Starting unoptimised processes takes the time of two whole processors.
    let allowed = if cfg!(debug_assertions) {
        P99_MAX * 20
    } else {
        P99_MAX
    };
    assert!(
        p99 <= allowed,
        "p99 is {p99:?}, {calm:?} when nothing is deployed"
    );
    assert!(counts.releases["1.0.0"] > 0 && counts.releases["1.1.0"] > 0);
    let instances = world.status().await["observation"]["instances"].clone();
    let instances = instances.as_array().expect("instances").clone();
    assert_eq!(instances.len(), 4, "{instances:#?}");
    assert!(
        instances
            .iter()
            .all(|i| i["version"] == "1.0.0" && i["state"] == "healthy")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_release_rolls_back_by_itself_and_no_user_sees_it() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    let ran = world
        .cli(&[
            "deploy",
            "storefront",
            "1.2.0",
            "-e",
            "staging",
            "--health-deadline",
            "4s",
        ])
        .await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(
        ran.stdout.contains("rolled back: 1.0.0 is live"),
        "{ran:#?}"
    );
    let counts = load.stop().await;
    assert_unharmed(&counts);
    let answered: Vec<&String> = counts.releases.keys().collect();
    assert_eq!(answered, ["1.0.0"]);
    let deployments = world.json(&["deployment", "list", "--limit", "1"]).await;
    assert_eq!(deployments[0]["status"], "rolled_back");
    assert_eq!(
        deployments[0]["certificate"]["clean"], true,
        "{deployments:#}"
    );
    let status = world.status().await;
    assert_eq!(status["live"]["version"], "1.0.0");
    assert_eq!(
        status["observation"]["instances"].as_array().map(Vec::len),
        Some(4)
    );
}
