//! What is around the control plane fails: its log, its disk, its database, its cloud.

use std::{fs, io::Write, path::Path, process::Command, time::Duration};

use provider_local::client::LocalCloud;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::world::{PLACE, World, assert_unharmed, group, shop, until, until_within};

/// Where the small disk is; set only for the process that fills it.
const DISK: &str = "POINTSMAN_E2E_DISK";
const MOUNT: &str = r#"mount -t tmpfs -o size=24m tmpfs "$POINTSMAN_E2E_DISK" && exec "$@""#;
/// How long the disk is full.
const FULL: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let mut world = World::with_live_shop().await;
    world.kill_server().await;
    let full = fs::File::options().write(true).open("/dev/full");
    world
        .serve_with(full.expect("a device that is always full"))
        .await;
    let cloud = world.cloud_process().expect("a cloud");
    kill_process(cloud, Signal::KILL).expect("it ran");
    let users_are_served = async || {
        let load = world.load().await;
        sleep(Duration::from_millis(100)).await;
        let counts = load.stop().await;
        (counts.requests > 0 && counts.failed == 0).then_some(())
    };
    until_within(
        "the cloud runs again",
        Duration::from_secs(5),
        users_are_served,
    )
    .await;
    let deployed = ["deploy", "storefront", "1.1.0", "-e", "staging"];
    world.ok(&deployed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_survived_in_each_phase() {
    let _turn = World::turn().await;
    let disk = tempfile::tempdir().expect("a folder");
    let name = "faults::the_process_with_a_small_disk";
    let ran = tokio::task::block_in_place(|| {
        Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                MOUNT,
                "sh",
            ])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(DISK, disk.path())
            .output()
            .expect("it can be started")
    });
    let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Fills its disk in each phase. Without the variable it has no disk of its own, and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_with_a_small_disk() {
    let Some(disk) = std::env::var_os(DISK) else {
        return;
    };
    let disk = Path::new(&disk);
    let world = World::with_data(Some(disk.join("data"))).await;
    world.bring_shop().await;
    world
        .ok(&["deploy", "storefront", "1.0.0", "-e", "staging"])
        .await;
    let load = world.load().await;
    for (round, phase) in ["fill", "bake", "retire"].into_iter().enumerate() {
        let version = if round % 2 == 0 { "1.1.0" } else { "1.0.0" };
        let slow = match phase {
            "retire" => Some(world.slow_requests(64, "6000").await),
            _ => None,
        };
        let bake = if phase == "bake" { "4s" } else { "1s" };
        let id = world.begin(version, &["--bake", bake]).await;
        if phase != "fill" {
            until(&format!("the step {phase}"), async || {
                let deployment = world.deployment(&id).await;
                let at = deployment["step"].as_u64().expect("a step") as usize;
                (deployment["steps"][at]["step"] == phase).then_some(())
            })
            .await;
        }
        full_for_a_while(&world, disk, &id).await;
        let ended = world.ended(&id).await;
        assert_eq!(ended["status"], "succeeded", "full at {phase}: {ended:#}");
        assert_eq!(ended["certificate"]["clean"], true, "{phase}: {ended:#}");
        drop(slow);
    }
    assert_unharmed(&load.stop().await);
    world.ok(&["audit", "verify"]).await;
}

/// Fills the disk, sees that it is said, and makes room again.
async fn full_for_a_while(world: &World, disk: &Path, id: &str) {
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let began = Instant::now();
    until_within("it is said", Duration::from_secs(6), async || {
        let (status, problem) = world.health().await;
        let says = problem["detail"].as_str().unwrap_or_default();
        let deployment = world.deployment(id).await;
        (status == 503
            && says == "the database cannot be written: database or disk is full"
            && deployment["waiting"]["reason"] == "database")
            .then_some(())
    })
    .await;
    let page = world.ok(&[&["status"], &PLACE[..]].concat()).await;
    assert!(page.contains("the database cannot be written"), "{page}");
    sleep(FULL.saturating_sub(began.elapsed())).await;
    fs::remove_file(filler).expect("there is room again");
    until_within("it is well again", Duration::from_secs(6), async || {
        (world.health().await.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_that_the_cloud_does_not_answer() {
    let world = World::with_live_shop().await;
    let cloud = world.cloud_process().expect("a cloud");
    kill_process(cloud, Signal::STOP).expect("it ran");
    let pages = async || {
        let one = world.cli(&[&["status"], &PLACE[..]].concat()).await.stdout;
        let all = world.cli(&["status", "-e", "staging"]).await.stdout;
        let says = |page: &str| page.contains("the provider cannot answer");
        (says(&one) && says(&all)).then_some(())
    };
    until("it says what is wrong", pages).await;
    kill_process(cloud, Signal::CONT).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_free_port_is_said_and_waited_for() {
    let mut world = World::with_live_shop().await;
    let state = world.folder().join("cloud");
    let cloud = LocalCloud::new(&state, world.data());
    cloud
        .reserve((20_000..32_000).collect())
        .await
        .expect("told");
    let id = world.begin("1.1.0", &["--bake", "0s"]).await;
    let why = "no port is free between 20000 and 32000";
    until_within("it is said", Duration::from_secs(8), async || {
        let deployment = world.deployment(&id).await;
        deployment["waiting"]
            .to_string()
            .contains(why)
            .then_some(())
    })
    .await;
    let page = world.ok(&[&["status"], &PLACE[..]].concat()).await;
    assert!(page.contains(why), "{page}");
    // There is no way to take ports back from the list of the control planes; a new list is one.
    world.kill_server().await;
    let running = world.cloud_process().expect("a cloud");
    kill_process(running, Signal::KILL).expect("it ran");
    let file = state.join("state.json");
    let text = fs::read(&file).expect("a state");
    let mut saved: Value = serde_json::from_slice(&text).expect("JSON");
    saved["reserved"] = json!([]);
    fs::write(&file, saved.to_string()).expect("written");
    world.serve().await;
    assert_eq!(world.ended(&id).await["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_find_the_router_where_it_was_when_the_cloud_lost_its_state() {
    let world = World::with_live_shop().await;
    let status = world.status().await;
    let url = status["url"].as_str().expect("an address").to_owned();
    let state = world.folder().join("cloud/state.json");
    let processes = world.router_processes().into_iter();
    let all: Vec<_> = processes.chain(world.cloud_process()).collect();
    fs::remove_file(state).expect("it was there");
    for process in all {
        kill_process(process, Signal::KILL).expect("it ran");
    }
    let port: u16 = url
        .rsplit(':')
        .next()
        .and_then(|it| it.parse().ok())
        .expect("a port");
    until("the router is back", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .ok()
    })
    .await;
    assert_eq!(world.status().await["url"], url);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_why_nothing_is_healthy() {
    let world = World::with_shop().await;
    let flag = world.folder().join("die");
    let mut group = group("storefront", "staging");
    group["size"] = json!(1);
    group["variables"]["DIE"] = json!(flag);
    world.apply(&group).await;
    let release = world.folder().join("release");
    fs::create_dir(&release).expect("a folder");
    fs::copy(
        shop("releases/storefront/1.0.0/release.env"),
        release.join("release.env"),
    )
    .expect("copied");
    let procfile =
        r#"web: sh -c 'if test -e "$DIE"; then exit 7; fi; exec "$SHOP_SERVER" shop-server'"#;
    fs::write(release.join("Procfile"), format!("{procfile}\n")).expect("written");
    let artifact = release.to_str().expect("text");
    let create = [
        "release",
        "create",
        "storefront",
        "2.0.0",
        "--artifact",
        artifact,
    ];
    world.ok(&create).await;
    world
        .ok(&["deploy", "storefront", "2.0.0", "-e", "staging"])
        .await;
    fs::write(&flag, "").expect("written");
    for process in world.instance_processes() {
        kill_process(process, Signal::KILL).expect("it ran");
    }
    let pages = async || {
        let one = world.ok(&[&["status"], &PLACE[..]].concat()).await;
        let all = world.ok(&["status", "-e", "staging"]).await;
        let says = |page: &str| page.contains("0 of 1") && page.contains("exit status 7");
        (says(&one) && says(&all)).then_some(())
    };
    until("it says why", pages).await;
}
