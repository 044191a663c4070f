//! The data folder: one server at a time, and nobody else reads it.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// A data folder that this process alone uses, as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, makes it when it is not there, and locks it.
    ///
    /// # Errors
    /// When the disk says no, or another server uses it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| {
                format!(
                    "the data folder {} cannot be made; choose another with --data",
                    path.display()
                )
            })?;
        let path = fs::canonicalize(path)
            .with_context(|| format!("the data folder {} cannot be used", path.display()))?;
        let lock = private_file(&path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another server uses the data folder {} already; stop it, or choose another folder with --data",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error)
                .with_context(|| format!("the data folder {} cannot be locked", path.display())),
        }
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.path.join("token")
    }

    pub(crate) fn note(&self) -> PathBuf {
        self.path.join("server.json")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// The database file; made here so that only its owner can read it.
    ///
    /// # Errors
    /// When the disk says no.
    pub(crate) fn database(&self) -> anyhow::Result<PathBuf> {
        let path = self.path.join("pointsman.db");
        private_file(&path)?;
        Ok(path)
    }
}

fn private_file(path: &Path) -> anyhow::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be opened", path.display()))
}
