//! Blue/green, canary, gates and dark traffic, under load, on real processes.

use std::time::Duration;

use demo::load::{Counts, Load, Target};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::world::{PLACE, World, assert_unharmed, group, shop, until};

/// The shop with two slices and release 1.0.0 live.
async fn two_slices() -> World {
    let world = World::with_shop().await;
    let mut settings = group("storefront", "staging");
    settings["slices"] = json!(2);
    world.apply(&settings).await;
    for version in ["1.3.0", "1.4.0", "1.5.0"] {
        let folder = shop(&format!("releases/storefront/{version}"));
        let create = ["release", "create", "storefront", version, "--artifact"];
        world.ok(&[&create[..], &[&folder]].concat()).await;
    }
    let deploy = ["deploy", "storefront", "1.0.0", "-e", "staging"];
    world.ok(&[&deploy[..], &["--bake", "0s"]].concat()).await;
    world
}

/// Deploys by these flags, and waits for the end; gives exit code and output.
async fn deploy(world: &World, version: &str, flags: &[&str]) -> crate::world::Ran {
    let args = ["deploy", "storefront", version, "-e", "staging"];
    world.cli(&[&args[..], flags].concat()).await
}

async fn waits_for(world: &World, id: &str, reason: &str) -> Value {
    until(&format!("it waits: {reason}"), async || {
        let deployment = world.deployment(id).await;
        (deployment["waiting"]["reason"] == reason).then_some(deployment)
    })
    .await
}

/// Waits until the current step of a deployment is a `step`.
async fn reaches(world: &World, id: &str, step: &str) {
    until(&format!("the step {step}"), async || {
        let deployment = world.deployment(id).await;
        let at = deployment["step"].as_u64().unwrap_or_default() as usize;
        (deployment["steps"][at]["step"] == step).then_some(())
    })
    .await;
}

async fn live(world: &World) -> String {
    let status = world.status().await;
    status["live"]["version"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Everything that failed was an answer of the bad release, and there was something to fail.
fn only_the_bad_release_failed(counts: &Counts) {
    assert!(!counts.reasons.is_empty(), "nothing failed: {counts:?}");
    for reason in &counts.reasons {
        assert!(
            reason.contains("something went wrong"),
            "{:?}",
            counts.reasons
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blue_green_at_once_and_by_weights_fails_no_request() {
    let world = two_slices().await;
    let load = world.load().await;
    let at_once = ["--strategy", "blue-green", "--all-at-once", "--warm", "1s"];
    let ran = deploy(&world, "1.1.0", &at_once).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(live(&world).await, "1.1.0");
    let by_weights = [
        "--strategy",
        "blue-green",
        "--weights",
        "5,25,50,100",
        "--bake",
        "1s",
        "--warm",
        "1s",
    ];
    let ran = deploy(&world, "1.0.0", &by_weights).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(live(&world).await, "1.0.0");
    let instances = world.status().await["observation"]["instances"].clone();
    assert_eq!(instances.as_array().map(Vec::len), Some(4), "{instances:#}");
    let counts = load.stop().await;
    assert_unharmed(&counts);
    assert!(counts.releases["1.1.0"] > 0 && counts.releases["1.0.0"] > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_halted_by_errors_and_users_get_stable_back() {
    let world = two_slices().await;
    let load = world.load().await;
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "20%:60s",
        "--gate-traffic",
    ];
    let ran = deploy(&world, "1.3.0", &canary).await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(
        ran.stdout.contains("rolled back: 1.0.0 is live"),
        "{ran:#?}"
    );
    assert!(
        ran.stdout.contains("errors"),
        "it says which measurement failed: {ran:#?}"
    );
    let deployments = world.json(&["deployment", "list", "--limit", "1"]).await;
    let id = deployments[0]["id"].as_str().expect("an id");
    let looks = world.ok(&["looks", id]).await;
    assert!(looks.contains("evidence of more errors"), "{looks}");
    let worse = world.stopped_by().await;
    assert!(worse.contains(&"errors".to_owned()), "{worse:?}\n{looks}");
    let before = load.counts();
    only_the_bad_release_failed(&before);
    assert!(before.failed > 0, "the canary had users");
    sleep(Duration::from_secs(1)).await;
    assert_unharmed(&load.stop().await.since(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_halted_by_latency_and_a_good_one_passes() {
    let world = two_slices().await;
    let load = world.load().await;
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "20%:60s",
        "--gate-traffic",
    ];
    let ran = deploy(&world, "1.4.0", &canary).await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    let worse = world.stopped_by().await;
    let slower = ["p50", "p95"].iter().any(|p| worse.iter().any(|w| w == p));
    let errors = worse.contains(&"errors".to_owned());
    assert!(slower && !errors, "{worse:?}: {ran:#?}");
    assert_eq!(live(&world).await, "1.0.0");
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "50%:2s",
        "--gate-traffic",
        "--warm",
        "1s",
    ];
    let ran = deploy(&world, "1.1.0", &canary).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(live(&world).await, "1.1.0");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_are_waited_for_given_by_somebody_else_and_refused() {
    let world = two_slices().await;
    let class = json!({
        "kind": "EnvironmentType", "name": "staging", "approval_by_another": true,
    });
    world.apply(&class).await;
    let code = world.ok(&["user", "create", "bob"]).await;
    world.ok(&["grant", "create", "approver", "bob"]).await;
    let token = world.reads(&["login"], &code).await;
    let file = world.folder().join("bob");
    std::fs::write(&file, token).expect("written");
    let bob = ["--token-file", file.to_str().expect("text")];
    world.ok(&[&bob[..], &["team", "list"]].concat()).await;
    let load = world.load().await;
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "10%",
        "--approve-at",
        "10",
        "--warm",
        "5m",
    ];
    let id = world.begin("1.1.0", &canary).await;
    waits_for(&world, &id, "approval").await;
    let own = world.cli(&["approve", &id]).await;
    assert!(own.stderr.contains("somebody else"), "{own:#?}");
    let reason = ["--reason", "not on a Friday"];
    world
        .ok(&[&bob[..], &["reject", &id], &reason].concat())
        .await;
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "rolled_back", "{ended:#}");
    let why = ended["failure"]["sentence"].as_str().unwrap_or_default();
    assert_eq!(why, "rejected by bob: not on a Friday");
    let id = world.begin("1.1.0", &canary).await;
    waits_for(&world, &id, "approval").await;
    world.ok(&[&bob[..], &["approve", &id]].concat()).await;
    waits_for(&world, &id, "warm").await;
    world.ok(&["promote", &id]).await;
    assert_eq!(world.ended(&id).await["status"], "succeeded");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_in_the_middle_holds_the_share_and_resume_goes_on() {
    let world = two_slices().await;
    let load = world.load().await;
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "20%:2s,50%:1s",
        "--warm",
        "1s",
    ];
    let id = world.begin("1.1.0", &canary).await;
    reaches(&world, &id, "bake").await;
    world.ok(&["pause", &id]).await;
    let before = load.counts();
    sleep(Duration::from_secs(3)).await;
    let held = load.counts().since(&before);
    let share = held.releases["1.1.0"] as f64 / held.requests as f64;
    assert!(
        (0.15..0.25).contains(&share),
        "{share} of the users are on the new release"
    );
    world.ok(&["resume", &id]).await;
    assert_eq!(world.ended(&id).await["status"], "succeeded");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_back_is_one_change_inside_the_warm_window_and_a_deployment_after_it() {
    let world = two_slices().await;
    let load = world.load().await;
    let warm = ["--strategy", "blue-green", "--all-at-once", "--warm", "5m"];
    let id = world.begin("1.1.0", &warm).await;
    waits_for(&world, &id, "warm").await;
    let asked = Instant::now();
    world
        .ok(&[&["rollback"], &PLACE[..], &["--reason", "a feeling"]].concat())
        .await;
    let took = asked.elapsed();
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "rolled_back", "{ended:#}");
    println!("`pointsman rollback` came back after {took:?}");
    let before = load.counts();
    sleep(Duration::from_millis(500)).await;
    let after = load.counts().since(&before);
    assert_eq!(after.releases.keys().collect::<Vec<_>>(), ["1.0.0"]);
    let at_once = ["--strategy", "blue-green", "--all-at-once", "--warm", "0s"];
    let ran = deploy(&world, "1.1.0", &at_once).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    world
        .ok(&[&["rollback"], &PLACE[..], &["--reason", "another"]].concat())
        .await;
    until("the release before is live again", async || {
        (live(&world).await == "1.0.0").then_some(())
    })
    .await;
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_killed_at_each_weight_finishes_what_it_began() {
    let mut world = two_slices().await;
    let load = world.load().await;
    let canary = [
        "--strategy",
        "canary",
        "--steps",
        "5%:3s,50%:3s",
        "--warm",
        "3s",
    ];
    let id = world.begin("1.1.0", &canary).await;
    for share in [
        "95 % blue, 5 % green",
        "50 % blue, 50 % green",
        "100 % green",
    ] {
        until(&format!("users are split {share}"), async || {
            let slices = world.json(&[&["slices"], &PLACE[..]].concat()).await;
            split_as(&slices, share).then_some(())
        })
        .await;
        world.kill_server().await;
        world.serve().await;
    }
    let ended = world.ended(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
    assert_unharmed(&load.stop().await);
}

/// Whether the slices have the shares of a text such as `95 % blue, 5 % green`.
fn split_as(slices: &Value, text: &str) -> bool {
    let weight = |slice: &str| {
        let rows = slices.as_array().or_else(|| slices["slices"].as_array());
        let row = rows.into_iter().flatten().find(|row| row["slice"] == slice);
        row.and_then(|row| row["weight"].as_u64()).unwrap_or(0)
    };
    text.split(", ").all(|part| {
        let (share, slice) = part.split_once(" % ").expect("a share of a slice");
        weight(slice) == share.parse::<u64>().expect("a number")
    })
}

/// A load on the page that answers in JSON.
async fn price_load(world: &World) -> Load {
    let status = world.status().await;
    let url = format!(
        "{}/price",
        status["url"]
            .as_str()
            .expect("an address")
            .trim_end_matches('/')
    );
    Load::start(&Target::of(&url).expect("a target"), 600)
}

#[tokio::test(flavor = "multi_thread")]
async fn dark_traffic_lets_a_clean_release_through_and_stops_a_dirty_one() {
    let world = two_slices().await;
    let load = price_load(&world).await;
    let dark = [
        "--strategy",
        "blue-green",
        "--all-at-once",
        "--shadow",
        "50%:2s",
        "--shadow-compare",
        "--warm",
        "1s",
    ];
    let ran = deploy(&world, "1.5.0", &dark).await;
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(
        ran.stdout.contains("$.price_cents"),
        "it names the field: {ran:#?}"
    );
    let counts = load.counts();
    assert!(
        !counts.releases.contains_key("1.5.0"),
        "no user saw it: {:?}",
        counts.releases
    );
    let ran = deploy(&world, "1.1.0", &dark).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(live(&world).await, "1.1.0");
    assert_unharmed(&load.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_leads_testers_into_the_dark_slice_and_nobody_else() {
    let world = two_slices().await;
    let canary = [
        "--strategy",
        "blue-green",
        "--all-at-once",
        "--approve-at",
        "0",
    ];
    let id = world.begin("1.1.0", &canary).await;
    waits_for(&world, &id, "approval").await;
    let pass = world
        .json(&[&["pass"], &PLACE[..], &["--for", "10m"]].concat())
        .await;
    let token = pass["token"].as_str().expect("a pass");
    assert_eq!(pass["slice"], "green");
    assert_eq!(
        world.release_for(&[("x-pointsman-pass", token)]).await,
        "1.1.0"
    );
    let forged = format!("{token}x");
    for words in [&[][..], &[("x-pointsman-pass", forged.as_str())][..]] {
        assert_eq!(world.release_for(words).await, "1.0.0", "{words:?}");
    }
    let audit = world.ok(&["audit", "list", "--limit", "1"]).await;
    assert!(
        audit.contains("pass.create") && !audit.contains(token),
        "{audit}"
    );
    world.ok(&["abort", &id, "--reason", "seen enough"]).await;
    world.ended(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_the_old_slice_go_on_across_a_shift_until_they_end() {
    let world = two_slices().await;
    let streams = world.streams(20, 45).await;
    let at_once = ["--strategy", "blue-green", "--all-at-once", "--warm", "1s"];
    let ran = deploy(&world, "1.1.0", &at_once).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    let ended = streams.join_all().await;
    assert_eq!(ended, [45; 20], "every stream told everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_held_across_a_shift() {
    let world = two_slices().await;
    let mut socket = crate::websocket::WebSocket::open(&world).await;
    assert_eq!(socket.echo("before").await, "before");
    let warm = ["--strategy", "blue-green", "--all-at-once", "--warm", "5m"];
    let id = world.begin("1.1.0", &warm).await;
    waits_for(&world, &id, "warm").await;
    assert_eq!(world.release_for(&[]).await, "1.1.0");
    for word in ["still", "the", "same"] {
        assert_eq!(socket.echo(word).await, word);
    }
    world.ok(&["promote", &id]).await;
    // The instance is to be retired, and has its drain time; an open socket may be used until then.
    assert_eq!(socket.echo("last words").await, "last words");
    assert_eq!(world.ended(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn switch_swaps_slices_and_is_refused_without_anything_to_switch_to() {
    let world = two_slices().await;
    let refused = world.fails(&[&["switch"], &PLACE[..]].concat(), 3).await;
    assert!(refused.contains("runs nothing"), "{refused}");
    let load = world.load().await;
    let keep = ["--strategy", "blue-green", "--all-at-once", "--keep-old"];
    let ran = deploy(&world, "1.1.0", &keep).await;
    assert_eq!(ran.code, 0, "{ran:#?}");
    for version in ["1.0.0", "1.1.0"] {
        world.ok(&[&["switch"], &PLACE[..]].concat()).await;
        until("users are switched", async || {
            (live(&world).await == version).then_some(())
        })
        .await;
    }
    assert_unharmed(&load.stop().await);
}
