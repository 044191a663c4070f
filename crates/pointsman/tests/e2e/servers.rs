//! Several servers with one PostgreSQL: they share packages and people's tokens, and one goes on where
//! another died.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{AnyConnection, Connection, Row};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::MutexGuard,
    time::timeout,
};

use crate::{
    postgres::fresh_database,
    world::{World, end_all_below, group, shop, until, until_within},
};

/// How long another server may need to go on with what a dead one left.
const TAKE_OVER_MAX: Duration = Duration::from_secs(10);
/// How long the rest of a deployment may take from there.
const REST_MAX: Duration = Duration::from_secs(8);

/// The engine that drives what runs.
const DRIVER: &str = "select lease_engine from deployments where finished = 0";

/// Servers of one database.
pub struct Servers {
    folder: TempDir,
    /// The URL of their database.
    pub database: String,
    _turn: MutexGuard<'static, ()>,
}

/// One of them.
pub struct Server {
    process: Child,
    /// Its data folder.
    pub data: PathBuf,
}

impl Servers {
    /// None yet, with a fresh database.
    pub async fn new() -> Self {
        let turn = World::turn().await;
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            database: fresh_database().await,
            _turn: turn,
        }
    }

    fn command(&self, name: &str, cloud: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command
            .args(["server", "--listen", "127.0.0.1:0", "--data"])
            .arg(self.folder.path().join(name))
            .args(cloud)
            .env("POINTSMAN_DATABASE", &self.database)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts a server, and waits until it answers.
    pub async fn start(&self, name: &str, cloud: &[&str]) -> Server {
        let server = Server {
            process: self.command(name, cloud).spawn().expect("it starts"),
            data: self.folder.path().join(name),
        };
        until("it answers", async || {
            let listed = server.try_cli(&["team", "list"]).await;
            listed.is_ok().then_some(())
        })
        .await;
        server
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Who drives the deployment, by the name of the engine.
    pub async fn driver(&self) -> Option<String> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&self.database).await.ok()?;
        let row = sqlx::query(DRIVER).fetch_one(&mut connection).await.ok()?;
        row.try_get("lease_engine").ok()
    }

    /// The state folder of a cloud that they share.
    pub fn shared_cloud(&self) -> String {
        self.folder.path().join("cloud").display().to_string()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        end_all_below(self.folder.path());
    }
}

impl Server {
    async fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command
            .args(args)
            .env("POINTSMAN_DATA", &self.data)
            .env_remove("POINTSMAN_SERVER")
            .kill_on_drop(true)
            .stdin(Stdio::null());
        let ran = timeout(Duration::from_secs(60), command.output()).await;
        let ran = ran.expect("it ends").expect("it can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match ran.status.success() {
            true => Ok(text(&ran.stdout)),
            false => Err(text(&ran.stderr)),
        }
    }

    /// Whether this engine is its own.
    pub fn is(&self, engine: &str) -> bool {
        let pid = self.process.id().map(|pid| format!("server-{pid}-"));
        pid.is_some_and(|pid| engine.starts_with(&pid))
    }

    /// Ends it by force.
    pub async fn kill(&mut self) {
        self.process.kill().await.expect("killed");
    }

    /// Runs a command that has to succeed; gives its standard output.
    pub async fn cli(&self, args: &[&str]) -> String {
        let done = self.try_cli(args).await;
        done.unwrap_or_else(|said| panic!("{args:?}: {said}"))
    }

    async fn json(&self, args: &[&str]) -> Value {
        let text = self.cli(&[args, &["--output", "json"]].concat()).await;
        serde_json::from_str(&text).expect("JSON")
    }

    /// Brings the shop, with one release live.
    pub async fn bring_shop(&self, folder: &Path) {
        self.cli(&["apply", "-f", &shop("")]).await;
        let manifest = folder.join("group.json");
        let group = group("storefront", "staging").to_string();
        fs::write(&manifest, group).expect("written");
        self.cli(&["apply", "-f", manifest.to_str().expect("text")])
            .await;
        for version in ["1.0.0", "1.1.0"] {
            let artifact = shop(&format!("releases/storefront/{version}"));
            let create = ["release", "create", "storefront", version, "--artifact"];
            self.cli(&[&create[..], &[&artifact]].concat()).await;
        }
        self.cli(&["deploy", "storefront", "1.0.0", "-e", "staging"])
            .await;
    }

    /// Begins a deployment with this bake; gives its id.
    pub async fn begin(&self, version: &str, bake: &str) -> String {
        let args = [
            "deploy",
            "storefront",
            version,
            "-e",
            "staging",
            "--no-wait",
        ];
        let begun = self.json(&[&args[..], &["--bake", bake]].concat()).await;
        begun["id"].as_str().expect("an id").to_owned()
    }

    async fn deployment(&self, id: &str) -> Value {
        self.json(&["deployment", "get", id]).await
    }

    /// Waits until a deployment ended; gives it.
    pub async fn ended(&self, id: &str) -> Value {
        until("it ends", async || {
            let deployment = self.deployment(id).await;
            deployment["finished_at"].is_string().then_some(deployment)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_with_one_cloud_share_everything_and_take_over() {
    let servers = Servers::new().await;
    let state = servers.shared_cloud();
    let cloud = ["--local-state", state.as_str()];
    let mut names = ["a", "b"];
    let mut one = servers.start("a", &cloud).await;
    let mut other = servers.start("b", &cloud).await;
    one.bring_shop(servers.folder.path()).await;
    // A package that arrived at one server is deployed by the other.
    other
        .cli(&["deploy", "storefront", "1.1.0", "-e", "staging"])
        .await;
    for version in ["1.0.0", "1.1.0"] {
        let id = one.begin(version, "3s").await;
        until("it bakes", async || {
            let reason = one.deployment(&id).await["waiting"]["reason"].clone();
            (reason == "baking").then_some(())
        })
        .await;
        // Either may be the one that drives it; the other one goes on in both cases.
        one.kill().await;
        let killed = Instant::now();
        let ended = other.ended(&id).await;
        assert_eq!(ended["status"], "succeeded", "{ended:#}");
        assert_eq!(ended["certificate"]["clean"], true, "{ended:#}");
        let took = killed.elapsed();
        assert!(
            took < TAKE_OVER_MAX + REST_MAX,
            "taken over and brought to its end after {took:?}"
        );
        names.reverse();
        one = other;
        other = servers.start(names[1], &cloud).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_cloud_is_refused_with_the_reason() {
    let servers = Servers::new().await;
    let a = servers.start("a", &[]).await;
    let refused = servers.command("b", &[]).output();
    let refused = timeout(Duration::from_secs(30), refused).await;
    let refused = refused.expect("it ends").expect("it can be started");
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for part in ["another one-machine cloud", "/a/local", "--no-local-cloud"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    a.cli(&["team", "list"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_reach_the_cloud_leaves_its_deployments_alone() {
    let servers = Servers::new().await;
    let mut a = servers.start("a", &[]).await;
    a.bring_shop(servers.folder.path()).await;
    let b = servers.start("b", &["--no-local-cloud"]).await;
    let id = a.begin("1.1.0", "3s").await;
    a.kill().await;
    let says_so = async || {
        let deployment = b.deployment(&id).await;
        assert_eq!(deployment["status"], "running", "{deployment:#}");
        (deployment["waiting"]["reason"] == "unattended").then_some(())
    };
    until_within(
        "it says that nobody drives it",
        Duration::from_secs(20),
        says_so,
    )
    .await;
    let status = ["status", "storefront", "-e", "staging"];
    let page = b.cli(&status).await;
    assert!(page.contains("without a one-machine cloud"), "{page}");
    let a = servers.start("a", &[]).await;
    let ended = a.ended(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended:#}");
}
