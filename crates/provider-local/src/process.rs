//! Real processes: started in a group of their own, recognised after a restart, reliably ended.
//!
//! Invariant: a signal is sent only to a process whose id *and* start time are the recorded ones,
//! and, right after it ended, to the rest of its group.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::{
    io::unix::AsyncFd,
    process::{Child, Command},
};

use crate::group::ProcessId;

/// The environment variable that marks the processes of instances.
pub const MARK: &str = "POINTSMAN_INSTANCE";

/// The variables that instances inherit from the daemon; every other variable is set explicitly.
const INHERITED: &[&str] = &[
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME",
];

/// How to start an instance.
#[derive(Debug)]
pub struct Start<'a> {
    /// The command of the `Procfile`.
    pub command: &'a str,
    /// The unpacked release.
    pub folder: &'a Path,
    /// Where its output goes.
    pub log: &'a Path,
    /// Its environment, in addition to what is inherited.
    pub variables: BTreeMap<String, String>,
}

/// A running process, ours or adopted.
#[derive(Debug)]
pub struct Process {
    /// The process.
    pub id: ProcessId,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    Child(Box<Child>),
    Adopted(AsyncFd<OwnedFd>),
}

impl Process {
    /// Starts an instance: its own process group, no input, output appended to its log.
    ///
    /// # Errors
    /// When the log cannot be opened or the shell cannot be started.
    pub fn start(start: &Start<'_>) -> io::Result<Self> {
        let log = open_log(start.log)?;
        let inherited = INHERITED
            .iter()
            .filter_map(|key| Some((*key, std::env::var_os(key)?)));
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {}", start.command))
            .current_dir(start.folder)
            .env_clear()
            .envs(inherited)
            .envs(&start.variables)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| io::Error::other("the process ended at once"))?;
        // A child that already ended is a zombie until it is waited for: its id is still its own.
        let started_ticks = started_ticks(pid)?;
        let handle = Handle::Child(Box::new(child));
        Ok(Self {
            id: ProcessId { pid, started_ticks },
            handle,
        })
    }

    /// Takes over a process that an earlier run of this program started.
    ///
    /// # Errors
    /// When it is gone, or its id now belongs to another process.
    pub fn adopt(id: ProcessId) -> io::Result<Self> {
        let pid = number(id)?;
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        // Read after the descriptor is open: it can no longer become another process.
        if started_ticks(id.pid)? != id.started_ticks {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another process has its number",
            ));
        }
        #[expect(
            deprecated,
            reason = "an OwnedFd stays open for as long as it is registered"
        )]
        let pidfd = AsyncFd::new(pidfd)?;
        Ok(Self {
            id,
            handle: Handle::Adopted(pidfd),
        })
    }

    /// Waits until it has ended. Returns its exit status, which is unknown for an adopted process.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        match &mut self.handle {
            Handle::Child(child) => child.wait().await.ok(),
            Handle::Adopted(pidfd) => {
                drop(pidfd.readable().await);
                None
            }
        }
    }

    /// Sends a signal to its process group, if it is still the same process.
    pub fn signal(&self, signal: Signal) {
        let same = started_ticks(self.id.pid).is_ok_and(|ticks| ticks == self.id.started_ticks);
        if let (true, Ok(pid)) = (same, number(self.id)) {
            // The group may be gone by now; then there is nothing left to end.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Process {
    /// Kills the children that it left behind. Call this right after it ended: a group keeps its id
    /// for as long as it has members, so no other group can have that id yet.
    pub fn sweep(&self) {
        if let Ok(group) = number(self.id) {
            // Usually the group is empty, and this fails.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn number(id: ProcessId) -> io::Result<Pid> {
    Pid::from_raw(id.pid).ok_or_else(|| io::Error::other("0 is no process"))
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// When a process was started, in clock ticks after boot: `/proc/PID/stat`, field 22. The second
/// field may contain spaces and brackets, so fields are counted from the last bracket.
fn started_ticks(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
    after_name
        .and_then(|rest| rest.split_whitespace().nth(19))
        .and_then(|ticks| ticks.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has another form than expected")))
}

/// Finds processes by the mark in their environment: those of an earlier run that died before it
/// could save their ids. The keys are the marks.
#[must_use]
pub fn marked() -> BTreeMap<String, ProcessId> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environ = fs::read(entry.path().join("environ")).ok()?;
            let prefix = format!("{MARK}=");
            let mark = environ
                .split(|byte| *byte == 0)
                .find_map(|line| line.strip_prefix(prefix.as_bytes()))?;
            let mark = String::from_utf8(mark.to_vec()).ok()?;
            Some((
                mark,
                ProcessId {
                    pid,
                    started_ticks: started_ticks(pid).ok()?,
                },
            ))
        })
        .fold(
            BTreeMap::new(),
            |mut oldest: BTreeMap<String, ProcessId>, (mark, id)| {
                // An instance may have children: the oldest process is the one that was started.
                let kept = oldest.entry(mark).or_insert(id);
                if (id.started_ticks, id.pid) < (kept.started_ticks, kept.pid) {
                    *kept = id;
                }
                oldest
            },
        )
}

/// The command of the `web` line of a release's `Procfile`.
///
/// # Errors
/// When there is no `Procfile`, or it has no such line, as a sentence for people.
pub fn web_command(folder: &Path) -> io::Result<String> {
    let path: PathBuf = folder.join("Procfile");
    let text = fs::read_to_string(&path).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the release has no Procfile: {error}"),
        )
    })?;
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("web:"));
    let command = line
        .map(|command| command.trim().to_owned())
        .filter(|c| !c.is_empty());
    command
        .ok_or_else(|| io::Error::other("the Procfile of the release has no line `web: COMMAND`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_adopted_only_with_its_own_start_time() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let variables = BTreeMap::from([(MARK.to_owned(), "i-test".to_owned())]);
        let start = Start {
            command: "sleep 60",
            folder: folder.path(),
            log: &log,
            variables,
        };
        let mut process = Process::start(&start).unwrap();
        let wrong = ProcessId {
            started_ticks: process.id.started_ticks + 1,
            ..process.id
        };
        let error = Process::adopt(wrong).unwrap_err();
        assert_eq!(error.to_string(), "another process has its number");
        // A process that is just being replaced by its command shows no environment for a moment.
        let found = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            marked().get("i-test").copied()
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
