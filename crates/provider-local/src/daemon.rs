//! The one-machine cloud: a process of its own that keeps groups of real processes running behind
//! the router, and outlives the control plane.
//!
//! ```text
//! control socket --> groups (what was asked) --> supervisor (one task per instance) --> processes
//!                        |                            |
//!                        +----- saved on disk --------+----> routing table of the router
//! ```
//!
//! Invariants:
//! - what runs is written down before it is started, and marked, so that no process is ever orphaned;
//! - what cannot be saved is neither acknowledged nor started;
//! - an instance is shown as healthy only once the router's table lists it;
//! - one daemon per state folder.

mod adopt;
mod check;
mod control;
mod counted;
mod error;
mod fault;
mod health;
mod instance;
mod metrics;
mod mirrors;
mod saved;
mod scrape;
mod start;
mod supervise;
mod watching;
mod world;

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

pub use self::error::DaemonError;
use self::{
    mirrors::Mirrors,
    saved::Saved,
    world::{Daemon, Stop, World},
};
use crate::{artifact::Artifacts, clock::now, logs, wire::SOCKET};

/// How long requests in flight may take when the daemon itself stops.
const GRACE: Duration = Duration::from_secs(5);

/// How the daemon is set up.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// The state folder, with everything it keeps. Made with mode 0700.
    pub state: PathBuf,
    /// Port of the router on 127.0.0.1. `None`: that of the last run, else 8080, else a free one.
    pub router_port: Option<u16>,
    /// Port of the metrics on 127.0.0.1. `None`: that of the last run, else a free one.
    pub metrics_port: Option<u16>,
}

/// Runs the one-machine cloud until it is told to stop, by signal or through its socket.
///
/// # Errors
/// When it cannot start. Once it runs, it does not fail.
pub async fn run(config: DaemonConfig) -> Result<(), DaemonError> {
    start::prepare(&config.state)?;
    // Processes are marked with this name, so it must be the same however the folder is reached.
    let folder = config.state.canonicalize()?;
    let _lock = start::lock(&folder)?;
    let mut saved = Saved::load(&folder)?;
    saved.pass_over(logs::instances(&folder.join("logs")));
    let pass_key = start::pass_key(&folder)?;
    let router = start::router(config.router_port, saved.router_port, &pass_key).await?;
    let metrics = scrape::listen(config.metrics_port, saved.metrics_port).await?;
    let address = router.local_addr();
    saved.router_port = address.port();
    let mut mirrors = Mirrors::default();
    mirrors.follow(&saved.groups, now());
    saved.metrics_port = scrape::port(&metrics)?;
    let daemon = Arc::new(Daemon {
        artifacts: Artifacts::new(folder.clone()),
        folder,
        router: Mutex::new(Some(router)),
        pass_key,
        world: Mutex::new(World::new(saved, mirrors)),
        changed: Notify::new(),
        stop: watch::Sender::new(Stop::No),
    });
    adopt::adopt_all(&daemon)?;
    let control = control::serve(&daemon)?;
    let scraping = scrape::serve(&daemon, metrics);
    let rotation = tokio::spawn(logs::rotate_for_ever(daemon.logs_folder()));
    tracing::info!(router = %address, "the one-machine cloud runs");
    supervise::supervise(&daemon).await;
    control.abort();
    scraping.abort();
    rotation.abort();
    // No more requests are answered; a socket without an answer would only mislead.
    let _ = fs::remove_file(daemon.folder.join(SOCKET));
    let router = daemon.router().take();
    if let Some(router) = router {
        router.shutdown(GRACE).await;
    }
    Ok(())
}
