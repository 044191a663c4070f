//! A control plane and a one-machine cloud of a test's own, with the example shop in the catalogue.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use demo::load::{Counts, Load, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

mod restarts;
mod users;

/// One world at a time: two of them under load would disturb each other's times.
static TURN: Mutex<()> = Mutex::const_new(());

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);
/// How long any single command may take.
const COMMAND_MAX: Duration = Duration::from_secs(120);
/// How long anything that is waited for may take.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The service and the environment of most tests.
pub const PLACE: [&str; 3] = ["storefront", "-e", "staging"];

/// Everything of one test.
pub struct World {
    folder: TempDir,
    /// Where the server keeps its data; `data` in the folder when it is `None`.
    data: Option<PathBuf>,
    server: Option<Child>,
    /// The program of the server and of what it starts, and what starts it, if anything does.
    program: Vec<PathBuf>,
    _turn: MutexGuard<'static, ()>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl World {
    /// A control plane that answers, and an empty catalogue.
    pub async fn empty() -> Self {
        Self::with_data(None).await
    }

    /// Keeps others from having a world meanwhile.
    pub async fn turn() -> MutexGuard<'static, ()> {
        TURN.lock().await
    }

    /// As [`Self::empty`], with a data folder somewhere else.
    pub async fn with_data(data: Option<PathBuf>) -> Self {
        let turn = TURN.lock().await;
        let folder = tempfile::Builder::new()
            .prefix("pointsman-e2e-")
            .tempdir()
            .expect("a temporary folder");
        let mut world = Self {
            folder,
            data,
            server: None,
            program: vec![PathBuf::from(env!("CARGO_BIN_EXE_pointsman"))],
            _turn: turn,
        };
        world.serve().await;
        world
    }

    /// A control plane with the example shop in the catalogue, and its releases.
    pub async fn with_shop() -> Self {
        let world = Self::empty().await;
        world.bring_shop().await;
        world
    }

    /// Brings the example shop into the catalogue, and its releases.
    pub async fn bring_shop(&self) {
        let world = self;
        world.ok(&["apply", "-f", &shop("")]).await;
        world.apply(&group("storefront", "staging")).await;
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            let folder = shop(&format!("releases/storefront/{version}"));
            world
                .ok(&[
                    "release",
                    "create",
                    "storefront",
                    version,
                    "--artifact",
                    &folder,
                ])
                .await;
        }
    }

    /// As [`Self::with_shop`], with release 1.0.0 live.
    pub async fn with_live_shop() -> Self {
        let world = Self::with_shop().await;
        world
            .ok(&[
                "deploy",
                "storefront",
                "1.0.0",
                "-e",
                "staging",
                "--bake",
                "0s",
            ])
            .await;
        world
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the control plane, and waits until it answers.
    pub async fn serve(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder().join("server.log"))
            .expect("a log file");
        self.serve_with(log).await;
    }

    /// Starts the control plane with this as its log, and waits until it answers.
    pub async fn serve_with(&mut self, log: fs::File) {
        // A file of an earlier start would tell an old address.
        let _ = fs::remove_file(self.data().join("server.json"));
        let [program, first @ ..] = &self.program[..] else {
            panic!("there is a program");
        };
        let mut command = self.in_our_world(Command::new(program));
        command.args(first);
        command.args(["server", "--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(self.data());
        command
            .arg("--local-state")
            .arg(self.folder().join("cloud"));
        command
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a second handle"));
        command.stdout(log).process_group(0);
        self.server = Some(command.spawn().expect("a server"));
        let answers = async || {
            let ran = self.cli(&["team", "list"]).await;
            (ran.code == 0).then_some(())
        };
        until("the control plane answers", answers).await;
    }

    /// Ends the control plane by force, as a crash does.
    pub async fn kill_server(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().await.expect("killed");
    }

    /// The data folder of the server.
    pub fn data(&self) -> PathBuf {
        let usual = || self.folder().join("data");
        self.data.clone().unwrap_or_else(usual)
    }

    /// The status of `GET /health`, and what it says.
    pub async fn health(&self) -> (u16, Value) {
        crate::databases::health_at(&self.data()).await
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.args(args);
        self.in_our_world(command)
    }

    fn in_our_world(&self, mut command: Command) -> Command {
        command
            .env("POINTSMAN_DATA", self.data())
            .env("XDG_CONFIG_HOME", self.folder())
            .env_remove("POINTSMAN_CONTEXT")
            .env_remove("POINTSMAN_SERVER")
            .env_remove("POINTSMAN_TOKEN")
            .env_remove("POINTSMAN_TOKEN_FILE")
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn cli(&self, args: &[&str]) -> Ran {
        let output = self.command(args).stdin(Stdio::null()).output();
        let output = timeout(COMMAND_MAX, output)
            .await
            .unwrap_or_else(|_| panic!("{args:?} did not end within {COMMAND_MAX:?}"))
            .expect("it can be started");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a command and lets it run; it is ended when dropped.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started")
    }

    /// Runs a command that reads `input` and has to succeed; gives its standard output.
    pub async fn reads(&self, args: &[&str], input: &str) -> String {
        let file = self.folder().join("input");
        fs::write(&file, input).expect("written");
        let input = fs::File::open(file).expect("it is there");
        let output = self.command(args).stdin(input).output().await;
        let output = output.expect("it can be started");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that has to succeed; gives its standard output.
    pub async fn ok(&self, args: &[&str]) -> String {
        let ran = self.cli(args).await;
        assert_eq!(ran.code, 0, "{args:?}: {ran:#?}");
        ran.stdout
    }

    /// Runs a command that has to end with `code`; gives what it wrote to standard error.
    pub async fn fails(&self, args: &[&str], code: i32) -> String {
        let ran = self.cli(args).await;
        assert_eq!(ran.code, code, "{args:?}: {ran:#?}");
        ran.stderr
    }

    /// Runs a command that has to succeed; gives its JSON.
    pub async fn json(&self, args: &[&str]) -> Value {
        let stdout = self.ok(&[args, &["--output", "json"]].concat()).await;
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {stdout}"))
    }

    /// Applies one manifest.
    pub async fn apply(&self, manifest: &Value) {
        let file = self.folder().join("manifest.json");
        fs::write(&file, manifest.to_string()).expect("written");
        self.ok(&["apply", "-f", file.to_str().expect("text")])
            .await;
    }

    /// Begins a deployment; gives its id.
    pub async fn begin(&self, version: &str, more: &[&str]) -> String {
        let args = [
            "deploy",
            "storefront",
            version,
            "-e",
            "staging",
            "--no-wait",
        ];
        let begun = self.json(&[&args, more].concat()).await;
        begun["id"].as_str().expect("an id").to_owned()
    }

    /// A deployment as the API tells it.
    pub async fn deployment(&self, id: &str) -> Value {
        self.json(&["deployment", "get", id]).await
    }

    /// Waits until a deployment ended; gives it.
    pub async fn ended(&self, id: &str) -> Value {
        until("the deployment ends", async || {
            let deployment = self.deployment(id).await;
            let status = deployment["status"].as_str().unwrap_or_default();
            (!matches!(status, "running" | "paused" | "rolling_back")).then_some(deployment)
        })
        .await
    }

    /// What the traffic gate measured to be worse when it stopped the latest deployment: `errors`, `p50`, ...
    pub async fn stopped_by(&self) -> Vec<String> {
        let latest = self.json(&["deployment", "list", "--limit", "1"]).await;
        let id = latest[0]["id"].as_str().expect("an id");
        let looks = self.json(&["looks", id]).await;
        let last = looks.as_array().and_then(|looks| looks.last());
        let last = last.expect("the gate was looked at");
        assert_eq!(last["verdict"], "failed", "{last:#}");
        let errors = ("errors".to_owned(), &last["traffic"]["errors"]);
        let percentiles = last["traffic"]["latency"].as_array();
        let percentiles = percentiles.expect("percentiles are compared").iter();
        std::iter::once(errors)
            .chain(percentiles.map(|p| (format!("p{}", p["percent"]), p)))
            .filter(|(_, judged)| judged["verdict"] == "worse")
            .map(|(name, _)| name)
            .collect()
    }

    /// What runs of the shop.
    pub async fn status(&self) -> Value {
        self.json(&[&["status"], &PLACE[..]].concat()).await
    }

    /// A steady load on the shop.
    pub async fn load(&self) -> Load {
        let status = self.status().await;
        let url = status["url"].as_str().expect("an address");
        Load::start(&Target::of(url).expect("a target"), 600)
    }

    /// Ids of the processes of the shop's instances.
    pub fn instance_processes(&self) -> Vec<Pid> {
        self.processes("shop-server")
    }

    /// The process of the one-machine cloud.
    pub fn cloud_process(&self) -> Option<Pid> {
        self.processes("local").into_iter().next()
    }

    /// Processes below this world's folder with `word` as one of their arguments.
    fn processes(&self, word: &str) -> Vec<Pid> {
        let mut found = Vec::new();
        for (pid, arguments) in own_processes(self.folder()) {
            if arguments
                .split(|byte| *byte == 0)
                .any(|argument| argument == word.as_bytes())
            {
                found.push(pid);
            }
        }
        found
    }
}

/// Every process that names `folder` or works below it, with its arguments.
fn own_processes(folder: &Path) -> Vec<(Pid, Vec<u8>)> {
    let own = folder.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        // A process that ended meanwhile cannot be read, and is not there any more.
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let works_here =
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        let names_us = arguments.windows(own.len()).any(|part| part == own);
        if works_here || names_us {
            found.push((pid, arguments));
        }
    }
    found
}

/// Ends every process that names `folder` or works below it.
pub fn end_all_below(folder: &Path) {
    // Twice: the cloud may be starting an instance while it is being ended.
    for _ in 0..2 {
        for (pid, _) in own_processes(folder) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder().join("server.log")).unwrap_or_default();
            eprintln!("--- log of the control plane\n{log}---");
        }
        end_all_below(self.folder());
    }
}

/// Waits until `probe` gives something.
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(what, WAIT_MAX, probe).await
}

/// Waits until `probe` gives something, at most `max`.
pub async fn until_within<T>(
    what: &str,
    max: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(started.elapsed() < max, "{what}: not within {max:?}");
        sleep(LOOK).await;
    }
}

/// A path below `examples/shop`.
pub fn shop(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/shop");
    Path::new(root).join(path).display().to_string()
}

/// A server group of four with quick health checks, which runs the binary under test.
pub fn group(service: &str, environment: &str) -> Value {
    json!({
        "kind": "ServerGroup",
        "service": service,
        "environment": environment,
        "size": 4,
        "zones": ["a", "b", "c"],
        "health": {
            "path": "/health",
            "interval_ms": 100,
            "timeout_ms": 1000,
            "healthy_threshold": 2,
            "unhealthy_threshold": 3,
        },
        "drain_seconds": 5,
        "variables": { "SHOP_SERVER": env!("CARGO_BIN_EXE_pointsman") },
    })
}

/// Nothing failed, and something was asked.
pub fn assert_unharmed(counts: &Counts) {
    assert!(counts.requests > 0, "no request was sent");
    assert_eq!(counts.failed, 0, "failed requests: {:?}", counts.reasons);
}
