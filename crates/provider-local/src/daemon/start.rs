//! What the daemon needs before it runs: its folder, and the lock on it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tokio::time::{Instant, sleep};

use super::error::DaemonError;
use crate::users::Apart;

/// How long a daemon that ends may still hold the lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at the lock.
const LOOK: Duration = Duration::from_millis(50);

/// The folders in the state folder that only its owner looks into.
const PRIVATE: [&str; 2] = ["artifacts", "logs"];
/// The folder with what instances are started from.
const RELEASES: &str = "releases";

/// Makes the state folder, for its owner only.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for name in PRIVATE.into_iter().chain([RELEASES]) {
        fs::create_dir_all(folder.join(name))?;
    }
    Ok(())
}

/// Lets the users of instances through to their releases and homes, if they have users of their own.
/// Nobody else can list what is there.
pub(super) fn open(folder: &Path, apart: &Apart) -> io::Result<()> {
    let through = match apart {
        Apart::Yes(_) => 0o711,
        Apart::No(why) => {
            if rustix::process::geteuid().is_root() {
                tracing::warn!(remedy = why.remedy(), "instances run as root: {why}");
            }
            0o700
        }
    };
    for path in [folder.to_owned(), folder.join(RELEASES)] {
        fs::set_permissions(path, fs::Permissions::from_mode(through))?;
    }
    // They may be older than the rule that what is made here is private.
    for name in PRIVATE {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600))?;
        }
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
