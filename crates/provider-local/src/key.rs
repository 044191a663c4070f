//! The key that testers' passes and users' cookies are signed with: a file in the state folder, for
//! its owner only.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use router::pass::{KEY_LEN, PassKey};

/// The file, in the state folder.
const FILE: &str = "pass.key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file does not hold a key.
    #[error("{} does not hold a key of {KEY_LEN} bytes; remove it, and a new one is made (passes and cookies signed before are then ignored)", .0.display())]
    Faulty(PathBuf),
    /// The file cannot be read or made.
    #[error("the key for passes and cookies cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// The key of a state folder.
///
/// # Errors
/// There is none, or it cannot be read.
pub(crate) fn read(folder: &Path) -> Result<PassKey, KeyError> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let bytes: Result<[u8; KEY_LEN], _> = bytes.try_into();
    bytes
        .map(PassKey::from_bytes)
        .map_err(|_| KeyError::Faulty(path))
}

/// The key of a state folder: that of the last run, else a new one.
///
/// # Errors
/// The file cannot be used.
pub(crate) fn read_or_make(folder: &Path) -> Result<PassKey, KeyError> {
    match read(folder) {
        Err(KeyError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found,
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
    fs::rename(part, folder.join(FILE))?;
    Ok(PassKey::from_bytes(bytes))
}
