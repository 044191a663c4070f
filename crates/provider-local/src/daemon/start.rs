//! What the daemon needs before it runs: its folder, and the lock on it.

use std::{fs, io, path::Path, time::Duration};

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

use super::error::DaemonError;

/// How long a daemon that ends may still hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at the lock.
const LOOK: Duration = Duration::from_millis(50);

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

/// Locks the folder for as long as the file is open. The last run may still be ending, so this waits
/// a little.
pub(super) async fn lock(folder: &Path) -> Result<fs::File, DaemonError> {
    let file = fs::File::create(folder.join("lock"))?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => sleep(LOOK).await,
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DaemonError::AlreadyRuns(folder.to_owned()));
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}
