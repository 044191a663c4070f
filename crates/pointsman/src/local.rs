//! The processes `pointsman local` and `pointsman router`: the one-machine cloud, run or ended from
//! the command line, and the router that it starts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use provider_local::{client::LocalCloud, daemon, descriptors, guard, routing, users};

use rustix::{fs::Mode, process::umask};

pub use provider_local::{
    daemon::DaemonConfig,
    launch::{LAUNCHER, start as start_instance},
    users::{NoUserIds, UserIds},
};

use crate::{config::LogFormat, telemetry};

/// How long instances may take to finish their last requests when everything is stopped.
const STOP_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the one-machine cloud until it is told to end.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: DaemonConfig, log: LogFormat) -> anyhow::Result<()> {
    telemetry::start(log);
    Ok(daemon::run(config).await?)
}

/// What the option `--instance-users` says.
///
/// # Errors
/// It says neither `off` nor which ids.
pub(crate) fn instance_users(text: &str) -> Result<Option<UserIds>, NoUserIds> {
    users::option(text)
}

/// Whether this process may give instances users of their own.
///
/// # Errors
/// The system does not say.
pub(crate) fn may_give_users() -> std::io::Result<bool> {
    Ok(users::lacking()?.is_empty())
}

/// Prepares a process that stays: it may open as many files as the system allows, and the releases
/// that the cloud runs cannot look into it.
///
/// # Errors
/// The system refuses.
pub fn prepare() -> std::io::Result<()> {
    // What is made from now on is nobody else's business.
    umask(Mode::RWXG | Mode::RWXO);
    descriptors::raise()?;
    guard::shut()
}

/// Runs the router of a state folder until the one-machine cloud ends it.
///
/// # Errors
/// When it cannot start.
pub async fn route(state: &Path) -> anyhow::Result<()> {
    telemetry::start(LogFormat::Text);
    Ok(routing::run(state).await?)
}

/// Ends the one-machine cloud of a state folder, and waits until it has ended. Its instances and its
/// router go on when they are left; the next start adopts them.
///
/// # Errors
/// When none runs there, or it does not end in time.
pub async fn stop(state: &Path, leave_instances: bool) -> anyhow::Result<()> {
    let cloud = LocalCloud::new(state, PathBuf::new());
    let status = cloud.status().await.with_context(|| {
        format!(
            "no one-machine cloud runs with the state in {}",
            state.display()
        )
    })?;
    cloud.shut_down(!leave_instances).await?;
    let ended = async {
        while is_running(status.pid) {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
        bail!("process {} has not ended within {STOP_MAX:?}", status.pid);
    }
    Ok(())
}

/// Whether a process still runs. One that ended, and that its parent has not asked about yet, is still
/// listed, and does nothing any more.
fn is_running(pid: u32) -> bool {
    // A process that is gone has no such file.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name is in parentheses, and may hold any character.
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ended_counts_as_ended_before_its_parent_asks() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("a process");
        let pid = child.id();
        assert!(is_running(pid) && is_running(std::process::id()));
        child.kill().expect("killed");
        let began = std::time::Instant::now();
        while is_running(pid) {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "a zombie does not run"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            Path::new(&format!("/proc/{pid}")).exists(),
            "it is a zombie"
        );
        child.wait().expect("its end");
        assert!(!is_running(pid));
    }
}
