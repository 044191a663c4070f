//! The database is taken away, held by somebody else, or stopped: deployments wait, say so, and go on.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    servers::Servers,
    world::{PLACE, World, assert_unharmed, until, until_within},
};

/// How long it is away.
const AWAY: Duration = Duration::from_secs(15);
/// How long it may take until that is said, and until all is well again.
const SAID_MAX: Duration = Duration::from_secs(8);
/// Holds the write lock until its input ends.
const HOLDER: &str = "
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute('begin immediate')
print('held', flush=True)
sys.stdin.read()
held.execute('rollback')
";

/// Waits until `/health` is 503 with these words, and the deployment waits for the database.
async fn until_said(world: &World, id: &str, words: &str) {
    until_within("it is said", SAID_MAX, async || {
        let (status, problem) = world.health().await;
        let says = problem["detail"].as_str().unwrap_or_default();
        let deployment = world.deployment(id).await;
        let waits = deployment["waiting"]["reason"] == "database";
        (status == 503 && says.contains(words) && waits).then_some(())
    })
    .await;
    let page = world.ok(&[&["status"], &PLACE[..]].concat()).await;
    assert!(page.contains("the database cannot be written"), "{page}");
}

async fn until_well(world: &World, id: &str) {
    until_within("it is well again", SAID_MAX, async || {
        (world.health().await.0 == 200).then_some(())
    })
    .await;
    let ended = world.ended(id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_holds_is_said_and_waited_for() {
    let world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.1.0", &["--bake", "2s"]).await;
    let mut holder = Command::new("python3")
        .args(["-c", HOLDER])
        .arg(world.data().join("pointsman.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("python runs");
    until_said(&world, &id, "another program may hold it").await;
    sleep(AWAY).await;
    drop(holder.stdin.take());
    assert!(
        holder.wait().expect("it ends").success(),
        "it held the lock"
    );
    until_well(&world, &id).await;
    assert_unharmed(&load.stop().await);
    world.ok(&["audit", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_file_that_is_taken_away_is_said_and_nothing_is_lost_when_it_is_back() {
    let mut world = World::with_live_shop().await;
    let load = world.load().await;
    let id = world.begin("1.1.0", &["--bake", "2s"]).await;
    let (file, aside) = (
        world.data().join("pointsman.db"),
        world.data().join("aside.db"),
    );
    fs::rename(&file, &aside).expect("moved");
    until_said(
        &world,
        &id,
        "pointsman.db was deleted while this server uses it",
    )
    .await;
    fs::copy(&aside, &file).expect("copied");
    until_said(
        &world,
        &id,
        "pointsman.db was replaced while this server uses it",
    )
    .await;
    fs::rename(&aside, &file).expect("moved");
    until_well(&world, &id).await;
    assert_unharmed(&load.stop().await);
    world.kill_server().await;
    world.serve().await;
    world.ok(&["audit", "verify"]).await;
    assert_eq!(world.status().await["live"]["version"], "1.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_beside_running_instances_is_told() {
    let mut world = World::with_live_shop().await;
    world.kill_server().await;
    for name in ["pointsman.db", "pointsman.db-wal", "pointsman.db-shm"] {
        // The last two are there only after a crash.
        let _ = fs::remove_file(world.data().join(name));
    }
    world.serve().await;
    let said = fs::read_to_string(world.folder().join("server.log")).expect("a log");
    let told = "runs 4 instances that it does not know";
    assert!(
        said.contains("this database is new") && said.contains(told),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "no colours in a file: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_postgresql_is_said_and_waited_for() {
    let servers = Servers::new().await;
    let server = servers.start("a", &[]).await;
    server.bring_shop(servers.folder()).await;
    let id = server.begin("1.1.0", "2s").await;
    let stopped = Stopped::postgresql(&servers.database);
    until_within("it is said", SAID_MAX, async || {
        let (status, problem) = health_at(&server.data).await;
        let says = problem["detail"].as_str().unwrap_or_default();
        (status == 503 && says.contains("the database")).then_some(())
    })
    .await;
    sleep(AWAY).await;
    stopped.start_again();
    until_within("it is well again", SAID_MAX, async || {
        (health_at(&server.data).await.0 == 200).then_some(())
    })
    .await;
    let ended = server.ended(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
    assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
    server.cli(&["audit", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_acts_within_ten_seconds() {
    let servers = Servers::new().await;
    let state = servers.shared_cloud();
    let cloud = ["--local-state", state.as_str()];
    let mut both = vec![
        servers.start("a", &cloud).await,
        servers.start("b", &cloud).await,
    ];
    both[0].bring_shop(servers.folder()).await;
    both[0].begin("1.1.0", "1h").await;
    let driver = until("it is driven", async || servers.driver().await).await;
    let one = both.iter().position(|it| it.is(&driver));
    let mut dead = both.remove(one.expect("one of the two drives it"));
    dead.kill().await;
    until_within("the other one acts", Duration::from_secs(10), async || {
        let now = servers.driver().await?;
        both[0].is(&now).then_some(())
    })
    .await;
}

/// A PostgreSQL that was shut down.
struct Stopped {
    arguments: Vec<String>,
    user: u32,
}

/// Runs a server until its own input ends, which is when this process does.
const KEEPER: &str = r#"
    trap '' INT TERM HUP
    "$@" </dev/null &
    server=$!
    cat >/dev/null
    kill -QUIT "$server"
    wait "$server"
"#;

impl Stopped {
    /// Shuts down the one that has this database.
    fn postgresql(url: &str) -> Self {
        let folder = url
            .split("host=")
            .nth(1)
            .and_then(|it| it.split('&').next());
        let data = Path::new(folder.expect("a socket's folder")).join("data");
        let lock = fs::read_to_string(data.join("postmaster.pid")).expect("it runs");
        let pid = lock.lines().next().expect("a process id").to_owned();
        let process = Path::new("/proc").join(&pid);
        let arguments = fs::read_to_string(process.join("cmdline")).expect("it runs");
        let arguments = arguments
            .split_terminator('\0')
            .map(str::to_owned)
            .collect();
        let user = fs::metadata(&data).expect("it is there").uid();
        let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
        kill_process(pid, Signal::INT).expect("it ran");
        Self { arguments, user }
    }

    fn start_again(self) {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).args(&self.arguments);
        if self.user != rustix::process::getuid().as_raw() {
            keeper.uid(self.user).gid(self.user);
        }
        let keeper = keeper
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // Not dropped: other tests need the server.
        std::mem::forget(keeper.expect("it starts"));
    }
}

/// What `/health` says.
pub async fn health_at(data: &Path) -> (u16, Value) {
    let note = fs::read(data.join("server.json")).expect("a server that runs");
    let note: Value = serde_json::from_slice(&note).expect("JSON");
    let url = format!("{}/health", note["address"].as_str().expect("an address"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    let answer = client.expect("a client").get(url).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}
