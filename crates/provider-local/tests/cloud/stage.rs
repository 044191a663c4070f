//! A daemon in a temporary folder, with releases to run, and everything stopped in the end.

mod processes;
mod release;

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Target, Token},
    names::{DeploymentId, Place},
    observation::{Observation, Sizes, SliceSeen},
    release::Launch,
    slice::Slice,
    users::Weights,
};
use engine::{
    ports::{Provider, ProviderError},
    testing::contract::ProviderStage,
};
use provider_local::{
    client::{Launcher, LocalCloud},
    users::UserIds,
};
use release::release;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Stage {
    pub cloud: LocalCloud,
    /// The health check of the server group.
    pub health: &'static str,
    /// What its instances may use.
    pub limits: &'static str,
    /// The program of its instances.
    program: PathBuf,
    folder: tempfile::TempDir,
    daemon: Child,
    version: AtomicU64,
    launches: BTreeMap<&'static str, Launch>,
}

impl Stage {
    pub async fn start() -> Self {
        Self::within(tempfile::tempdir().unwrap(), example()).await
    }

    /// In a folder that other users cannot get through.
    pub async fn closed() -> Self {
        Self::within(folder(0o700), example()).await
    }

    /// In a folder that other users can get through.
    pub async fn passable() -> Self {
        let folder = folder(0o711);
        // The program of the instances has to be where they can reach it, too.
        let copy = folder.path().join("cloud");
        std::fs::copy(example(), &copy).unwrap();
        Self::within(folder, copy).await
    }

    async fn within(folder: tempfile::TempDir, program: PathBuf) -> Self {
        let artifacts = folder.path().join("artifacts");
        std::fs::create_dir(&artifacts).unwrap();
        let state = folder.path().join("state");
        let ill = format!("ILL={} ", folder.path().join("ill").display());
        let launches = [
            ("1.0.0", ""),
            ("2.0.0", ""),
            ("3.0.0", "BROKEN=1 "),
            ("4.0.0", "sh -c 'exit 3' "),
            ("5.0.0", "sh -c 'sleep 60' "),
            ("6.0.0", &ill),
            ("7.0.0", "LISTEN=127.0.0.2 "),
            ("8.0.0", "LEAVES=1 "),
        ]
        .map(|(version, before)| {
            let line = format!("env {before}{} serve", program.display());
            (version, release(&artifacts, version, &line, None))
        });
        let daemon = spawn_daemon(&state);
        let mut stage = Self {
            cloud: LocalCloud::new(&state, artifacts),
            health: r#"{"interval_ms":50,"timeout_ms":1000,"healthy_threshold":2}"#,
            limits: "{}",
            program,
            folder,
            daemon,
            version: AtomicU64::new(1000),
            launches: launches.into(),
        };
        stage.wait_for_daemon().await;
        stage
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The file that makes every instance of 6.0.0 ill while it is there.
    pub fn ill(&self) -> PathBuf {
        self.folder.path().join("ill")
    }

    pub fn kill_daemon(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
    }

    /// Ends the daemon as somebody who wants to install another one does: users notice nothing.
    pub async fn stop_daemon(&mut self) {
        self.cloud.shut_down(false).await.unwrap();
        self.daemon.wait().unwrap();
    }

    /// Starts the daemon from a copy of its program, which is another build to it.
    pub async fn start_upgraded(&mut self) {
        let copy = self.folder.path().join("upgraded");
        std::fs::copy(example(), &copy).unwrap();
        let mut command = Command::new(copy);
        command.args(["local", "--router-port", "0", "--state-dir"]);
        self.daemon = command.arg(self.state()).spawn().unwrap();
        self.wait_for_daemon().await;
    }

    pub async fn start_daemon(&mut self) {
        self.daemon = spawn_daemon(&self.state());
        self.wait_for_daemon().await;
    }

    async fn wait_for_daemon(&mut self) {
        for _ in 0..1000 {
            if self.cloud.status().await.is_ok() {
                return;
            }
            assert!(
                self.daemon.try_wait().unwrap().is_none(),
                "the daemon ended"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the daemon does not answer");
    }

    /// Starts a second daemon with the same folder, and returns what it says before it ends.
    pub fn run_daemon_to_its_end(&self) -> String {
        let output = daemon_command(&self.state())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    }

    pub fn launcher(&self) -> Launcher {
        Launcher {
            program: example(),
            state: self.state(),
            router_port: Some(0),
            metrics_port: None,
            user_ids: Some(UserIds::default()),
        }
    }

    pub fn place(&self) -> Place {
        self.target().place
    }

    pub fn launch_one(&self) -> Launch {
        self.launches["1.0.0"].clone()
    }

    /// Of 3.0.0, which says that it is not healthy, 4.0.0, which ends at once, 5.0.0, which never
    /// listens, 6.0.0, which can be made ill, 7.0.0, which listens on another address, or 8.0.0,
    /// which leaves a process in the background.
    pub fn broken_launch(&self, version: &str) -> Launch {
        self.launches[version].clone()
    }

    /// A version whose instances run a script before they serve.
    pub fn add_script(&mut self, version: &'static str, script: &str) {
        let serve = format!("exec {} serve", self.program.display());
        let line = format!("sh -c 'python3 script.py && {serve}'");
        let artifacts = self.folder.path().join("artifacts");
        let launch = release(&artifacts, version, &line, Some(script));
        self.launches.insert(version, launch);
    }

    /// What new instances of a slice start from.
    pub async fn set_launch(&self, slice: Slice, version: &str) {
        let launch = Some(self.launches[version].clone());
        self.apply(Effect::SetLaunch { slice, launch }).await;
    }

    pub async fn try_apply(&self, effect: Effect) -> Result<(), ProviderError> {
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        let token = Token {
            deployment: DeploymentId("test".to_owned()),
            version,
        };
        self.cloud.apply(&self.target(), &effect, &token).await
    }

    pub async fn apply(&self, effect: Effect) {
        self.try_apply(effect).await.unwrap();
    }

    pub async fn sizes(&self, desired: u32) {
        self.sizes_of(Slice::Blue, desired).await;
    }

    pub async fn sizes_of(&self, slice: Slice, desired: u32) {
        let sizes = Sizes {
            min: desired,
            desired,
            max: desired,
        };
        self.apply(Effect::SetSizes { slice, sizes }).await;
    }

    /// Starts a number of instances of a version in a slice.
    pub async fn fill(&self, slice: Slice, version: &str, many: u32) {
        let launch = Some(self.launches[version].clone());
        self.apply(Effect::SetLaunch { slice, launch }).await;
        self.sizes_of(slice, many).await;
        self.until_seen("all are healthy", |seen| {
            seen.slice(slice).healthy() == many
        })
        .await;
    }

    /// Sends a percentage of the users to green and the rest to blue.
    pub async fn shift(&self, green: u8) {
        let weights = Weights::from([(Slice::Blue, 100 - green), (Slice::Green, green)]);
        let mirror = None;
        self.apply(Effect::SetTraffic { weights, mirror }).await;
    }

    /// Starts a number of instances of 1.0.0 and sends users to them.
    pub async fn serve_one_zero(&self, many: u32) {
        let launch = Some(self.launch_one());
        self.apply(Effect::SetLaunch {
            slice: Slice::Blue,
            launch,
        })
        .await;
        self.sizes(many).await;
        self.apply(Effect::SetTraffic {
            weights: Weights::from([(Slice::Blue, 100)]),
            mirror: None,
        })
        .await;
        self.until("all are healthy", |slice| slice.healthy() == many)
            .await;
    }

    pub async fn look(&self) -> SliceSeen {
        self.observe().await.slice(Slice::Blue).clone()
    }

    pub async fn observe(&self) -> Observation {
        self.cloud.observe(&self.target()).await.unwrap()
    }

    pub async fn until(&self, what: &str, right: impl Fn(&SliceSeen) -> bool) {
        self.until_seen(what, |seen| right(seen.slice(Slice::Blue)))
            .await;
    }

    pub async fn until_seen(&self, what: &str, right: impl Fn(&Observation) -> bool) {
        for _ in 0..1000 {
            if right(&self.observe().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: not seen in time: {:#?}", self.observe().await);
    }

    /// One request through the router on a connection of its own.
    pub async fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        self.get_with(path, "").await
    }

    /// One request through the router with more header fields, each with its line end.
    pub async fn get_with(&self, path: &str, fields: &str) -> std::io::Result<(u16, String)> {
        let port = self.cloud.status().await.unwrap().router_port;
        ask(port, "cart.live.localhost", path, fields).await
    }

    /// What a reader of metrics gets.
    pub async fn metrics(&self, host: &str, path: &str) -> std::io::Result<(u16, String)> {
        let port = self.cloud.status().await.unwrap().metrics_port;
        ask(port, host, path, "").await
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
        self.routers().into_iter().for_each(kill);
        // Also those that were not written down yet.
        self.processes().into_iter().for_each(kill);
    }
}

impl ProviderStage for Stage {
    fn target(&self) -> Target {
        let (health, limits) = (self.health, self.limits);
        let group = format!(
            r#"{{"service":"cart","environment":"live","size":2,"zones":["a","b"],"drain_seconds":3,
                "health":{health},"limits":{limits}}}"#
        );
        let group: ServerGroup = serde_json::from_str(&group).unwrap();
        Target::local(group.place(), group)
    }
    fn launches(&self) -> [Launch; 2] {
        [
            self.launches["1.0.0"].clone(),
            self.launches["2.0.0"].clone(),
        ]
    }
    async fn moment(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fn patience(&self) -> u32 {
        1000
    }
}

/// One request on a connection of its own.
pub async fn ask(
    port: u16,
    host: &str,
    path: &str,
    fields: &str,
) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), answer))
}

/// Ends a process by force, if it runs.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
}

/// Whether all of these processes run.
pub fn pids_alive(pids: &[i32]) -> bool {
    pids.iter().all(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    })
}

/// A temporary folder with this mode.
fn folder(mode: u32) -> tempfile::TempDir {
    let mode = std::fs::Permissions::from_mode(mode);
    let mut builder = tempfile::Builder::new();
    builder.permissions(mode).tempdir().unwrap()
}

/// The example program that is both daemon and service; `cargo test` builds it along with the
/// tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/cloud")
}

fn daemon_command(state: &Path) -> Command {
    // Whoever starts the daemon may have files open that are not meant for it.
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"exec 9</etc/hostname; exec "$0" "$@""#])
        .arg(example())
        .args(["local", "--router-port", "0"])
        .args(["--instance-users", "70000-89999", "--state-dir"])
        .arg(state);
    command
}

fn spawn_daemon(state: &Path) -> Child {
    daemon_command(state).spawn().unwrap()
}
