//! The data folder: one server at a time, and nobody else reads it.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use store::servers::CloudHome;
use uuid::Uuid;

use crate::telemetry::tell;

/// The usual state folder of the one-machine cloud, in the data folder.
pub(crate) const LOCAL: &str = "local";
/// How long a server that was just killed may still hold the folder, and between two attempts.
const LOCK_MAX: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A data folder that this process alone uses, as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, makes it when it is not there, and locks it. With `through`, users of instances
    /// get through it to what is theirs, but see nothing else of it.
    ///
    /// # Errors
    /// When the disk says no, or another server uses it.
    pub(crate) async fn open(path: &Path, through: bool) -> anyhow::Result<Self> {
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
        make_private(&path, through)?;
        let lock = private_file(&path.join("lock"))?;
        let held = async {
            loop {
                match lock.try_lock() {
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
                    done => return done,
                }
            }
        };
        match tokio::time::timeout(LOCK_MAX, held).await {
            Ok(Ok(())) => Ok(Self { path, _lock: lock }),
            Ok(Err(error)) => Err(error)
                .with_context(|| format!("the data folder {} cannot be locked", path.display())),
            Err(_) => bail!(
                "another server uses the data folder {} already; stop it, or choose another folder with --data",
                path.display()
            ),
        }
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.path.join("token")
    }

    /// Where the token of the first start is, which makes the first admin.
    pub(crate) fn first_start_token(&self) -> PathBuf {
        self.path.join("first-start-token")
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

/// Secrets are in the folder: it belongs to whoever runs the server, and nobody else looks into it.
fn make_private(path: &Path, through: bool) -> anyhow::Result<()> {
    let about = fs::metadata(path)
        .with_context(|| format!("the data folder {} cannot be used", path.display()))?;
    let (owner, own) = (about.uid(), rustix::process::geteuid().as_raw());
    if owner != own {
        bail!(
            "the data folder {} belongs to user {owner}, who could read and replace its secrets, and this server runs as user {own}; give the folder to user {own} with chown, or choose another with --data",
            path.display()
        );
    }
    let mode = about.permissions().mode() & 0o777;
    let right = if through { 0o711 } else { 0o700 };
    if mode == right {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(right)).with_context(|| {
        format!(
            "other users can look into the data folder {} (mode {mode:o}), and that cannot be changed; run `chmod {right:o}` on it",
            path.display()
        )
    })?;
    if mode & 0o066 != 0 {
        tell(&format!(
            "other users could look into the data folder {} (mode {mode:o}); its mode is {right:o} now",
            path.display()
        ));
    }
    close_contents(path)
}

/// Makes sure that what is in the folder is its owner's only, whatever was made by an earlier version.
fn close_contents(path: &Path) -> anyhow::Result<()> {
    let failed = || format!("the data folder {} cannot be used", path.display());
    for entry in fs::read_dir(path).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let kind = entry.file_type().with_context(failed)?;
        let mode = match kind {
            _ if kind.is_file() => 0o600,
            // The one-machine cloud looks after its own folder.
            _ if kind.is_dir() && entry.file_name() != LOCAL => 0o700,
            _ => continue,
        };
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(entry.path(), mode).with_context(failed)?;
    }
    Ok(())
}

/// The one-machine cloud with this state folder, which is made when it is not there.
///
/// # Errors
/// When the disk says no.
pub(crate) fn cloud_home(state: &Path) -> anyhow::Result<CloudHome> {
    let failed = || format!("the state folder {} cannot be used", state.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(failed)?;
    let state = fs::canonicalize(state).with_context(failed)?;
    let path = state.join("cloud-id");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    let mut id = read().trim().to_owned();
    if id.is_empty() {
        let draft = state.join(format!("cloud-id.{}", std::process::id()));
        fs::write(&draft, Uuid::now_v7().to_string()).with_context(failed)?;
        // Whoever is first decides; a server that starts at the same time reads the same.
        let _ = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).with_context(failed)?;
        id = read().trim().to_owned();
    }
    let name = rustix::system::uname();
    Ok(CloudHome {
        id,
        host: name.nodename().to_string_lossy().into_owned(),
        folder: state.display().to_string(),
    })
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
