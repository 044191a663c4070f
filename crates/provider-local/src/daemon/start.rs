//! What the daemon needs before it runs: its folder, the lock on it, and the router's port.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::{DaemonError, ROUTER_PORT};
use crate::router::{Limits, Router, RouterConfig};

/// The state folder, for its owner only.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for name in ["artifacts", "releases", "logs"] {
        fs::create_dir_all(folder.join(name))?;
    }
    Ok(())
}

/// Holds the folder for as long as the file is open.
pub(super) fn lock(folder: &Path) -> Result<fs::File, DaemonError> {
    let file = fs::File::create(folder.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DaemonError::AlreadyRuns(folder.to_owned())),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// The router on the port that was asked for, or on the one of the last run, so that users find it
/// again. The last run may be ending just now, so its port is waited for a little.
pub(super) async fn router(asked: Option<u16>, last: u16) -> Result<Router, DaemonError> {
    let start = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = RouterConfig {
            address,
            threads: None,
            limits: Limits::default(),
        };
        Router::start(config).map_err(|source| DaemonError::Router { port, source })
    };
    match asked.or((last != 0).then_some(last)) {
        Some(0) => start(0),
        Some(port) => {
            for _ in 0..20 {
                if let Ok(router) = start(port) {
                    return Ok(router);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            start(port)
        }
        None => start(ROUTER_PORT).or_else(|_| start(0)),
    }
}
