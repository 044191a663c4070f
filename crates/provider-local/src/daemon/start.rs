//! What the daemon needs before it runs: its folder, the lock on it, the key for testers' passes,
//! and the router's port.

use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use router::{
    Limits, PassCheck, Router, RouterConfig,
    pass::{KEY_LEN, PassKey},
};
use rustix::fs::{FlockOperation, flock};

use super::error::DaemonError;
use crate::clock::now;

/// The port of the router, unless it is in use or another one is asked for.
const ROUTER_PORT: u16 = 8080;
/// The file with the key for testers' passes, in the state folder.
const PASS_KEY: &str = "pass.key";

/// Makes the state folder, for its owner only.
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

/// Locks the folder for as long as the file is open.
pub(super) fn lock(folder: &Path) -> Result<fs::File, DaemonError> {
    let file = fs::File::create(folder.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DaemonError::AlreadyRuns(folder.to_owned())),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// The key for testers' passes: that of the last run, else a new one, in a file for its owner only.
pub(super) fn pass_key(folder: &Path) -> Result<PassKey, DaemonError> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let path = folder.join(PASS_KEY);
    match fs::read(&path) {
        Ok(bytes) => {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            let bytes: Result<[u8; KEY_LEN], _> = bytes.try_into();
            return bytes
                .map(PassKey::from_bytes)
                .map_err(|_| DaemonError::PassKey(path));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let mut bytes = [0; KEY_LEN];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    // Renamed once it is complete, so that a crash leaves no half-written key behind.
    let part = folder.join("pass.key.part");
    if part.exists() {
        fs::remove_file(&part)?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(part, path)?;
    Ok(PassKey::from_bytes(bytes))
}

/// Starts the router on the port that was asked for, else on that of the last run, so that users
/// find it again. The last run may still be ending, so this waits a little for the port.
pub(super) async fn router(
    asked: Option<u16>,
    last: u16,
    pass_key: &PassKey,
) -> Result<Router, DaemonError> {
    let start = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = RouterConfig {
            address,
            threads: None,
            limits: Limits::default(),
            passes: Some(PassCheck {
                key: pass_key.clone(),
                clock: now,
            }),
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
