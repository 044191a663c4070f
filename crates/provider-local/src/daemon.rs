//! The one-machine cloud: a process of its own that keeps groups of real processes running behind
//! the router, and outlives the control plane. The router is another process ([`crate::routing`]),
//! which outlives this one.
//!
//! ```text
//! control socket --> groups (what was asked) --> supervisor (one task per instance) --> processes
//!                        |                            |
//!                        +----- saved on disk --------+----> routing table --> router
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
mod error;
mod fault;
mod health;
mod instance;
mod metrics;
mod saved;
mod scrape;
mod start;
mod supervise;
mod traffic;
mod watching;
mod world;

use std::{fs, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rustix::{fs::Mode, process::umask};
use tokio::sync::{Notify, watch};

pub use self::error::DaemonError;
use self::{
    saved::Saved,
    world::{Daemon, Stop, World},
};
use crate::{
    artifact::Artifacts,
    descriptors, guard, key, logs,
    routing::link::Link,
    users::{self, UserIds},
    wire::SOCKET,
};

/// The names of our own logs in the state folder: that of the daemon, and that of the router.
pub(crate) const OWN_LOG: &str = "local.log";
pub(crate) const ROUTER_LOG: &str = "router.log";
/// The port of the router, unless it is in use or another one is asked for.
const ROUTER_PORT: u16 = 8080;

/// How the daemon is set up.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// The state folder, with everything it keeps. Made with mode 0700.
    pub state: PathBuf,
    /// Port of the router on 127.0.0.1. `None`: that of the last run, else 8080, else a free one.
    pub router_port: Option<u16>,
    /// Port of the metrics on 127.0.0.1. `None`: that of the last run, else a free one.
    pub metrics_port: Option<u16>,
    /// The users that instances run as, where the system allows it. `None`: that of the daemon.
    pub user_ids: Option<UserIds>,
}

/// Runs the one-machine cloud until it is told to stop, by signal or through its socket. Unless it is
/// to stop everything, the instances and the router go on, and the next run adopts them.
///
/// # Errors
/// When it cannot start. Once it runs, it does not fail.
pub async fn run(config: DaemonConfig) -> Result<(), DaemonError> {
    guard::shut()?;
    guard::adopt_what_is_left()?;
    // What is made here is nobody else's business; what instances need is opened for them.
    umask(Mode::RWXG | Mode::RWXO);
    start::prepare(&config.state)?;
    // Processes are marked with this name, so it must be the same however the folder is reached.
    let folder = config.state.canonicalize()?;
    let apart = users::apart(config.user_ids, &folder)?;
    start::open(&folder, &apart)?;
    descriptors::raise()?;
    let _lock = start::lock(&folder).await?;
    let mut saved = Saved::load(&folder)?;
    saved.pass_over(logs::instances(&folder.join("logs")));
    let pass_key = key::read_or_make(&folder)?;
    let last = saved.router_port;
    let router = Link::open(&folder, config.router_port, last, ROUTER_PORT).await;
    let router = router.map_err(|(port, source)| DaemonError::Router { port, source })?;
    let metrics = scrape::listen(config.metrics_port, saved.metrics_port).await?;
    saved.router_port = router.port()?;
    saved.metrics_port = scrape::port(&metrics)?;
    let daemon = Arc::new(Daemon {
        artifacts: Artifacts::new(folder.clone()),
        apart,
        user_ids: config.user_ids,
        folder,
        router: Arc::new(router),
        pass_key,
        world: Mutex::new(World::new(saved)),
        changed: Notify::new(),
        stop: watch::Sender::new(Stop::No),
    });
    let routing = tokio::spawn(Arc::clone(&daemon.router).keep());
    adopt::adopt_all(&daemon)?;
    daemon.prune();
    let control = control::serve(&daemon)?;
    let scraping = scrape::serve(&daemon, metrics);
    let own = [OWN_LOG, ROUTER_LOG].map(|name| daemon.folder.join(name));
    let rotation = tokio::spawn(logs::rotate_for_ever(daemon.logs_folder(), own.into()));
    tracing::info!("the one-machine cloud runs");
    supervise::supervise(&daemon).await;
    control.abort();
    scraping.abort();
    rotation.abort();
    routing.abort();
    let _ = fs::remove_file(daemon.folder.join(SOCKET));
    let everything = *daemon.stop.borrow() == Stop::Everything;
    if everything {
        daemon.router.stop().await;
    }
    Ok(())
}
