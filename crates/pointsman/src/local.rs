//! The processes `pointsman local` and `pointsman router`: the one-machine cloud, run or ended from
//! the command line, and the router that it starts.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use provider_local::{
    client::LocalCloud,
    daemon::{self, DaemonConfig},
    routing,
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
pub async fn run(
    state: PathBuf,
    router_port: Option<u16>,
    metrics_port: Option<u16>,
    log: LogFormat,
) -> anyhow::Result<()> {
    telemetry::start(log);
    let config = DaemonConfig {
        state,
        router_port,
        metrics_port,
    };
    Ok(daemon::run(config).await?)
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
    let process = PathBuf::from(format!("/proc/{}", status.pid));
    let ended = async {
        while process.exists() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
        bail!("process {} has not ended within {STOP_MAX:?}", status.pid);
    }
    Ok(())
}
