//! The start of a process of an instance: a launcher, which is this very program, limits itself, becomes
//! the user of the server group, and then the shell line.
//!
//! ```text
//! cloud --order, in memory--> `pointsman start-instance` --exec, as the user, limited--> /bin/sh -c LINE
//! ```
//!
//! Invariant: until it is that user, the launcher has nothing of the group's variables in its environment;
//! one of them, such as `LD_PRELOAD`, would be obeyed by the system.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use domain::catalogue::InstanceLimits;
use rustix::{
    fs::{MemfdFlags, Mode, memfd_create},
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
    thread::{
        CapabilitySet, capabilities, clear_ambient_capability_set, set_capabilities,
        set_no_new_privs,
    },
};
use serde::{Deserialize, Serialize};

use crate::{family, program};

/// The argument that makes this program a launcher.
pub const LAUNCHER: &str = "start-instance";
/// The exit status of a launcher that could not start anything.
const FAILED: u8 = 126;
/// The variables that instances inherit from the daemon; every other variable is set explicitly.
const INHERITED: &[&str] = &[
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME",
];
/// The soft limit of open files that processes usually begin with.
const OPEN_FILES: u64 = 1024;
/// What files that an instance makes may not be: written by others.
const UMASK: u32 = 0o022;

/// The user of a server group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    /// User and group.
    pub(crate) id: u32,
    /// Its name, for programs that ask the environment.
    pub(crate) name: String,
    /// Its home folder, which has a folder `tmp`.
    pub(crate) home: PathBuf,
}

/// How the processes of one instance are started: itself, and the commands that check it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// The unpacked release.
    pub(crate) folder: PathBuf,
    /// Its environment, in addition to what is inherited.
    pub(crate) variables: BTreeMap<String, String>,
    /// The user that it becomes; `None`: that of the cloud.
    pub(crate) user: Option<User>,
    /// What it may use.
    pub(crate) limits: InstanceLimits,
}

/// What a launcher is to start.
#[derive(Serialize, Deserialize)]
struct Order {
    line: String,
    launch: Launch,
}

impl Launch {
    /// The command that starts `line` through the launcher, in a process group of its own.
    ///
    /// # Errors
    /// The system has no memory for the order.
    pub(crate) fn command(&self, line: &str) -> io::Result<Command> {
        let order = Order {
            line: line.to_owned(),
            launch: self.clone(),
        };
        let mut text = File::from(memfd_create("order", MemfdFlags::CLOEXEC)?);
        text.write_all(&serde_json::to_vec(&order)?)?;
        text.rewind()?;
        let mark = self.variables.get(family::MARK);
        let mut command = Command::new(program::OWN);
        command
            .arg0("pointsman")
            .arg(LAUNCHER)
            .current_dir("/")
            .env_clear()
            .envs(inherited())
            .envs(mark.map(|mark| (family::MARK, mark)))
            .stdin(Stdio::from(text))
            .process_group(0);
        Ok(command)
    }

    /// The command itself: a shell line with nothing but the environment of the instance.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(line)
            .current_dir(&self.folder)
            .env_clear()
            .envs(inherited());
        if let Some(user) = &self.user {
            let temporary = user.home.join("tmp");
            command
                // Supplementary groups are dropped along with the user.
                .uid(user.id)
                .gid(user.id)
                .env("HOME", &user.home)
                .env("TMPDIR", temporary)
                .env("USER", &user.name)
                .env("LOGNAME", &user.name);
        }
        command
            .envs(&self.variables)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Limits this process, and with it what it becomes.
    fn limit(&self) -> io::Result<()> {
        umask(Mode::from_raw_mode(UMASK));
        let limits = &self.limits;
        let files = getrlimit(Resource::Nofile);
        let asked = limits.open_files.map(u64::from);
        let most = files.maximum.unwrap_or(u64::MAX);
        let open_files = Rlimit {
            current: Some(asked.unwrap_or_else(|| most.min(OPEN_FILES))),
            maximum: asked.or(files.maximum),
        };
        setrlimit(Resource::Nofile, open_files)?;
        let both = |most: u64| Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        if let Some(processes) = limits.processes {
            setrlimit(Resource::Nproc, both(processes.into()))?;
        }
        if self.user.is_some() {
            // Whoever runs the cloud without being root may have handed capabilities down.
            clear_ambient_capability_set()?;
            let mut sets = capabilities(None)?;
            sets.inheritable = CapabilitySet::empty();
            set_capabilities(None, sets)?;
            // Programs that make whoever starts them root do not.
            set_no_new_privs(true)?;
        }
        // Last: this process needs memory, too.
        if let Some(mib) = limits.memory_mib {
            setrlimit(Resource::Data, both(u64::from(mib) << 20))?;
        }
        Ok(())
    }
}

/// What the processes of the cloud inherit of the environment of whoever started them.
pub(crate) fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED
        .iter()
        .filter_map(|key| Some((*key, std::env::var_os(key)?)))
}

/// Becomes the process that the order on standard input describes. Returns only when that is not
/// possible; then the log of the instance says why. Call this before any thread is started: limits and
/// capabilities belong to a thread.
#[must_use]
pub fn start() -> ExitCode {
    let error = become_ordered();
    let text = format!("pointsman: this process cannot be started: {error}");
    // Where the output cannot be written, the exit status is all that is left.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(FAILED)
}

fn become_ordered() -> io::Error {
    let mut text = Vec::new();
    let read = io::stdin().read_to_end(&mut text);
    let order = read.and_then(|_| {
        let order: Result<Order, _> = serde_json::from_slice(&text);
        order.map_err(|_| io::Error::other("only the one-machine cloud starts it"))
    });
    let order = match order {
        Ok(order) => order,
        Err(error) => return error,
    };
    let mut command = order.launch.shell(&order.line);
    match order.launch.limit() {
        Ok(()) => told(command.exec(), &order.launch),
        Err(error) => error,
    }
}

/// An error of the last step, with what it usually means.
fn told(error: io::Error, launch: &Launch) -> io::Error {
    let processes = launch.limits.processes;
    match (error.kind(), processes) {
        (io::ErrorKind::WouldBlock, Some(most)) => io::Error::other(format!(
            "the instances of the group have {most} processes and threads already, which is their limit"
        )),
        _ => error,
    }
}
