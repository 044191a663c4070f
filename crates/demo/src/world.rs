//! The world of the demo: a temporary folder, a control plane and a one-machine cloud.
//!
//! Invariant: only processes that were started here are ended, and all of them; they are known by
//! their id and by the demo's own folder in their command line, so that a reused id is no danger.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use cli::{
    client::Client,
    connection::{Connection, ConnectionArgs},
    failure::{Exit, Failure},
};

/// How long the control plane may take to start.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a process may take to end by itself, before it is ended by force.
const STOP_MAX: Duration = Duration::from_secs(15);
/// How long instances may take to finish their last requests.
const CLOUD_STOP_MAX: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// A temporary folder with everything that runs in it.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    server: Option<Child>,
}

impl World {
    /// An empty world: a new folder, and nothing runs.
    ///
    /// # Errors
    /// When no temporary folder can be made.
    pub fn new() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("pointsman-demo-")
            .tempdir()
            .map_err(|error| {
                Failure::new(Exit::NotReached, "no temporary folder can be made")
                    .because(error)
                    .next("make room in the folder for temporary files, or set TMPDIR to another")
            })?;
        Ok(Self {
            folder,
            server: None,
        })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The control plane's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(self.folder())
    }

    /// Starts the control plane, which starts the one-machine cloud.
    ///
    /// # Errors
    /// When it does not answer in time; its log is quoted then.
    pub async fn start(&mut self) -> Result<Client, Failure> {
        let log_path = self.folder().join("server.log");
        let failed = |error: std::io::Error| {
            Failure::new(Exit::NotReached, "the control plane cannot be started").because(error)
        };
        let log = fs::File::create(&log_path).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let child = Command::new(program)
            .arg("server")
            .arg("--data")
            .arg(self.data())
            .arg("--local-state")
            .arg(cloud(self.folder()))
            .args(["--listen", "127.0.0.1:0"])
            // The shop is this very program, which may be where other users cannot get at it.
            .args(["--instance-users", "off"])
            .env_remove("POINTSMAN_SERVER")
            .env_remove("POINTSMAN_TOKEN")
            .env_remove("POINTSMAN_TOKEN_FILE")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // Ctrl-C in the terminal is for the demo, which then ends the others in order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.server = Some(child);
        self.answering(&log_path).await
    }

    /// Waits until the control plane answers.
    async fn answering(&mut self, log: &Path) -> Result<Client, Failure> {
        let started = Instant::now();
        while started.elapsed() < START_MAX {
            if let Some(Ok(Some(status))) = self.server.as_mut().map(Child::try_wait) {
                return Err(self.no_start(log, &format!("it ended with {status}")));
            }
            if self.data().join("server.json").exists() {
                let client = connect(&self.data())?;
                if client.is_answering().await {
                    return Ok(client);
                }
            }
            sleep(LOOK).await;
        }
        Err(self.no_start(log, "it did not answer within 30 s"))
    }

    fn no_start(&self, log: &Path, why: &str) -> Failure {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(10)..].join("\n        ");
        Failure::new(Exit::NotReached, "the control plane did not start")
            .because(why)
            .because(format!("its log ends with:\n        {end}"))
    }

    /// Ends everything, and removes the folder.
    pub async fn stop(mut self) {
        if let Some(child) = &mut self.server {
            end_child(child).await;
        }
        stop_cloud(self.folder()).await;
    }

    /// Leaves everything running; gives the folder, and what is typed to end it.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        let folder = self.folder.keep();
        if let Some(mut child) = self.server {
            if let Some(id) = child.id() {
                // Without this file `--stop` says so, and people can still end the process by id.
                let _ = fs::write(folder.join("server.pid"), id.to_string());
            }
            // Dropping a child does not end it, and nobody waits for it any more.
            let _ = child.try_wait();
        }
        folder
    }
}

/// Ends what `demo --keep` left running in `folder`, and removes the folder.
///
/// # Errors
/// When `folder` is not the folder of a demo.
pub async fn stop(folder: &Path) -> Result<(), Failure> {
    let name = folder.file_name().and_then(|name| name.to_str());
    let is_demo = name.is_some_and(|name| name.starts_with("pointsman-demo-"));
    let pid = fs::read_to_string(folder.join("server.pid"));
    let (true, Ok(pid)) = (is_demo, pid) else {
        return Err(Failure::usage(format!(
            "{} is not the folder of a demo that was left running",
            folder.display()
        ))
        .next("`pointsman demo --keep` says at its end which folder it is"));
    };
    if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
        end(pid, folder).await;
    }
    stop_cloud(folder).await;
    fs::remove_dir_all(folder).map_err(|error| {
        Failure::new(
            Exit::NotReached,
            format!("{} cannot be removed", folder.display()),
        )
        .because(error)
    })
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn cloud(folder: &Path) -> PathBuf {
    folder.join("cloud")
}

/// A client of the control plane with this data folder.
fn connect(data: &Path) -> Result<Client, Failure> {
    Client::new(Connection::find_in(data, &ConnectionArgs::default())?)
}

async fn end_child(child: &mut Child) {
    let Some(pid) = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    else {
        return;
    };
    // An error means that it ended by itself.
    let _ = kill_process(pid, Signal::TERM);
    if tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Ends the process `pid` if it was started with `folder` in its command line.
async fn end(pid: Pid, folder: &Path) {
    for signal in [Signal::TERM, Signal::KILL] {
        let since = Instant::now();
        if is_ours(pid, folder) {
            let _ = kill_process(pid, signal);
        }
        while is_ours(pid, folder) && since.elapsed() < STOP_MAX {
            sleep(LOOK).await;
        }
    }
}

fn is_ours(pid: Pid, folder: &Path) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let folder = folder.as_os_str().as_encoded_bytes();
    fs::read(path).is_ok_and(|line| line.windows(folder.len()).any(|part| part == folder))
}

/// Ends the one-machine cloud of `folder`, with all its instances.
async fn stop_cloud(folder: &Path) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let stopping = Command::new(program)
        .args(["local", "--stop", "--state-dir"])
        .arg(cloud(folder))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
    // An error means that none runs: it was never started.
    let _ = tokio::time::timeout(CLOUD_STOP_MAX, stopping).await;
}
