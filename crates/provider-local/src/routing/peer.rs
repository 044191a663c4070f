//! One router's process, as the daemon reaches it.

use std::{
    fs, io,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use futures_util::FutureExt;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::de::DeserializeOwned;
use tokio::{
    io::unix::AsyncFd,
    net::UnixStream,
    time::{sleep, timeout},
};

use super::{
    frames, process,
    wire::{Ask, Hello},
};
use crate::{daemon::ROUTER_LOG, program};

/// How long a router may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether a router that was started answers.
const LOOK: Duration = Duration::from_millis(10);

/// What the router inherits of the environment.
const INHERITED: [&str; 2] = ["RUST_LOG", "TZ"];

/// A router's process.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) pid: i32,
    socket: PathBuf,
    /// Readable once the process has ended.
    process: AsyncFd<OwnedFd>,
}

impl Peer {
    /// The router with this process id.
    ///
    /// # Errors
    /// There is no such process.
    pub(super) fn new(folder: &Path, pid: i32) -> io::Result<Self> {
        let number = Pid::from_raw(pid).ok_or_else(|| io::Error::other("0 is no process"))?;
        let process = pidfd_open(number, PidfdFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "an OwnedFd stays open for as long as it is registered"
        )]
        let process = AsyncFd::new(process)?;
        Ok(Self {
            pid,
            socket: process::socket(folder, pid),
            process,
        })
    }

    /// Starts a router that accepts from `listener`, from the program that runs here.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(folder: &Path, listener: &TcpListener) -> io::Result<Self> {
        let mut options = fs::OpenOptions::new();
        let log = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(folder.join(ROUTER_LOG))?;
        let inherited = INHERITED
            .iter()
            .filter_map(|key| Some((*key, std::env::var_os(key)?)));
        let listener = OwnedFd::from(listener.try_clone()?);
        let mut child = Command::new(program::OWN)
            .arg0("pointsman")
            .arg("router")
            .arg("--state-dir")
            .arg(folder)
            .current_dir("/")
            .env_clear()
            .envs(inherited)
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let peer = Self::new(folder, pid);
        // Waits for it, so that it leaves no zombie.
        std::thread::Builder::new()
            .name("wait-router".to_owned())
            .spawn(move || child.wait())?;
        peer
    }

    /// The routers of a state folder, each with what it says of itself. Sockets of routers that are
    /// gone are removed.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) async fn find(folder: &Path) -> io::Result<Vec<(Self, Hello)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let (name, path) = {
                let entry = entry?;
                (entry.file_name(), entry.path())
            };
            let pid = name.to_str().and_then(|name| {
                let pid = name.strip_prefix("router.")?.strip_suffix(".sock")?;
                pid.parse().ok()
            });
            let Some(pid) = pid else {
                continue;
            };
            let Ok(peer) = Self::new(folder, pid) else {
                let _ = fs::remove_file(path);
                continue;
            };
            match peer.ask(&Ask::Hello).await {
                Ok(hello) => found.push((peer, hello)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // Another process has its number by now.
                    let _ = fs::remove_file(path);
                }
                Err(error) => {
                    tracing::warn!(%error, pid, "a router does not answer");
                }
            }
        }
        Ok(found)
    }

    /// Asks one question.
    ///
    /// # Errors
    /// It does not answer in time or in our words, or is another process than it was.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: &Ask) -> io::Result<T> {
        let asked = async {
            let mut stream = self.connect().await?;
            frames::write(&mut stream, ask).await?;
            frames::read(&mut stream).await
        };
        timeout(ANSWER_MAX, asked).await?
    }

    /// The socket that users reach.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(super) async fn listener(&self) -> io::Result<TcpListener> {
        let asked = async {
            let mut stream = self.connect().await?;
            frames::write(&mut stream, &Ask::Listener).await?;
            frames::receive_socket(&stream).await
        };
        Ok(TcpListener::from(timeout(ANSWER_MAX, asked).await??))
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(&self.socket).await?;
        let owner = rustix::process::getuid().as_raw();
        let peer = stream.peer_cred()?;
        let trusted = [owner, 0].contains(&peer.uid()) && peer.pid() == Some(self.pid);
        trusted
            .then_some(stream)
            .ok_or_else(|| io::Error::other("another process answers at the router's socket"))
    }

    /// Waits until it answers for the first time.
    ///
    /// # Errors
    /// It ended, or does not answer in time.
    pub(super) async fn answers(&self, within: Duration) -> io::Result<Hello> {
        let answers = async {
            loop {
                if self.has_ended() {
                    return Err(io::Error::other(
                        "its process ended at once; router.log says why",
                    ));
                }
                if let Ok(hello) = self.ask(&Ask::Hello).await {
                    return Ok(hello);
                }
                sleep(LOOK).await;
            }
        };
        timeout(within, answers).await?
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.readable().now_or_never().is_some()
    }

    /// Waits until its process has ended.
    pub(super) async fn ended(&self) {
        // An error would mean that the descriptor is no good; then so is the process to us.
        drop(self.process.readable().await);
    }

    /// Removes what a process that ended may have left.
    pub(super) fn clean_up(&self) {
        let _ = fs::remove_file(&self.socket);
    }
}
