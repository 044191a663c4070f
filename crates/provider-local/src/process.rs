//! Real processes: started in a group of their own, recognised after a restart, reliably ended.
//!
//! Invariant: a signal is sent only to the process whose descriptor is kept open, and, right after it
//! ended, to the rest of its group.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::fs::{OpenOptionsExt, PermissionsExt, fchown},
    },
    path::Path,
    process::{Command, ExitStatus},
};

use operations::package::{self, PROCFILE, PROCFILE_LEN_MAX};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::{io::unix::AsyncFd, process::Child};

use crate::{family, group::ProcessId};

/// How to start an instance.
#[derive(Debug)]
pub struct Start<'a> {
    /// The command that becomes it, in a process group of its own.
    pub command: Command,
    /// Where its output goes.
    pub log: &'a Path,
    /// The group that writes to it, if not that of the cloud: programs open `/dev/stdout` again.
    pub group: Option<u32>,
}

/// A running process, ours or adopted.
#[derive(Debug)]
pub struct Process {
    /// The process.
    pub id: ProcessId,
    /// Refers to this process and no later one. Kept open, so that a signal can always be sent.
    pidfd: AsyncFd<OwnedFd>,
    /// `None`: adopted.
    child: Option<Box<Child>>,
}

impl Process {
    /// Starts an instance: its own process group, no input, output appended to its log.
    ///
    /// # Errors
    /// When the log cannot be opened, the shell cannot be started, or the process could not be
    /// watched; it does not run then.
    pub fn start(start: Start<'_>) -> io::Result<Self> {
        let log = open_log(start.log)?;
        if let Some(group) = start.group {
            fchown(&log, None, Some(group))?;
            log.set_permissions(fs::Permissions::from_mode(0o660))?;
        }
        let mut command = tokio::process::Command::from(start.command);
        let mut child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the process ended at once"))?;
        // A child that already ended is a zombie until it is waited for: its id is still its own.
        match watched(pid) {
            Ok((id, pidfd)) => Ok(Self {
                id,
                pidfd,
                child: Some(Box::new(child)),
            }),
            Err(error) => {
                // Nobody could end it later.
                child.start_kill()?;
                Err(error)
            }
        }
    }

    /// Takes over a process that an earlier run of this program started.
    ///
    /// # Errors
    /// When it is gone, or its id now belongs to another process.
    pub fn adopt(id: ProcessId) -> io::Result<Self> {
        // The descriptor is opened first: it can no longer become another process.
        let (found, pidfd) = watched(id.pid)?;
        if found != id {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another process has its number",
            ));
        }
        Ok(Self {
            id,
            pidfd,
            child: None,
        })
    }

    /// Waits until it has ended. Returns its exit status, which is unknown for an adopted process.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        if let Some(child) = &mut self.child {
            return child.wait().await.ok();
        }
        drop(self.pidfd.readable().await);
        None
    }

    /// Sends a signal to its process group, if it has not ended, and lets a stopped one go on, so
    /// that it can follow the signal.
    pub fn signal(&self, signal: Signal) {
        // Needs no descriptor, and fails once the id may belong to another process.
        let lives = pidfd_send_signal(self.pidfd.get_ref(), Signal::CONT).is_ok();
        if let (true, Ok(pid)) = (lives, number(self.id)) {
            for signal in [signal, Signal::CONT] {
                // The group may be gone by now; then there is nothing left to end.
                let _ = kill_process_group(pid, signal);
            }
        }
    }

    /// Kills the children that it left in its group. Call this right after it ended: a group keeps
    /// its id for as long as it has members, so no other group can have that id yet.
    pub fn sweep(&self) {
        if let Ok(group) = number(self.id) {
            // Usually the group is empty, and this fails.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn watched(pid: i32) -> io::Result<(ProcessId, AsyncFd<OwnedFd>)> {
    let number = Pid::from_raw(pid).ok_or_else(|| io::Error::other("0 is no process"))?;
    let pidfd = pidfd_open(number, PidfdFlags::NONBLOCK)?;
    let started_ticks = family::started_ticks(pid)?;
    #[expect(
        deprecated,
        reason = "an OwnedFd stays open for as long as it is registered"
    )]
    let pidfd = AsyncFd::new(pidfd)?;
    Ok((ProcessId { pid, started_ticks }, pidfd))
}

fn number(id: ProcessId) -> io::Result<Pid> {
    Pid::from_raw(id.pid).ok_or_else(|| io::Error::other("0 is no process"))
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

/// The command of the `web` line of a release's `Procfile`.
///
/// # Errors
/// When there is no `Procfile`, or it has no such line, as a sentence for people.
pub fn web_command(folder: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(folder.join(PROCFILE)).map_err(|error| {
        let text = format!("the release has no Procfile: {error}");
        io::Error::new(error.kind(), text)
    })?;
    file.take(PROCFILE_LEN_MAX).read_to_string(&mut text)?;
    package::web_command(&text).map_err(|why| io::Error::other(format!("the release {why}")))
}

#[cfg(test)]
mod tests {
    use domain::catalogue::InstanceLimits;

    use super::*;
    use crate::launch::Launch;

    #[tokio::test]
    async fn a_process_is_adopted_only_with_its_own_start_time() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let launch = Launch {
            folder: folder.path().to_owned(),
            variables: [(family::MARK.to_owned(), "i-test@p".to_owned())].into(),
            user: None,
            limits: InstanceLimits::default(),
        };
        let start = Start {
            command: launch.shell("exec sleep 60"),
            log: &log,
            group: None,
        };
        let mut process = Process::start(start).unwrap();
        let wrong = ProcessId {
            started_ticks: process.id.started_ticks + 1,
            ..process.id
        };
        let error = Process::adopt(wrong).unwrap_err();
        assert_eq!(error.to_string(), "another process has its number");
        // A process that is just being replaced by its command shows no environment for a moment.
        let found = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let marked = family::marked("i-test@p").unwrap();
            marked.first().map(|(_, id)| *id)
        });
        assert_eq!(found, Some(process.id));
        let adopted = Process::adopt(process.id).unwrap();
        adopted.signal(Signal::KILL);
        process.ended().await;
        let error = Process::adopt(process.id).unwrap_err();
        let gone = rustix::io::Errno::SRCH.raw_os_error();
        assert_eq!(error.raw_os_error(), Some(gone), "{error}");
    }
}
