//! Where artifacts lie: one file per content, named by its SHA-256.
//!
//! ```text
//! DATA/artifacts/incoming/   uploads under way; emptied at every start
//! DATA/artifacts/sha256/     whole, checked, on disk; never changed
//! ```
//!
//! Invariant: a file appears under its digest by a rename, after it was checked and synced. Nothing
//! half-written is ever visible.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use domain::{governance::Artifact, release::Digest};
use futures_util::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::{io::AsyncWriteExt, sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{Error, error::Fault, tarball};

/// Uploads at once.
const UPLOADS_MAX: usize = 8;
/// Artifacts hashed again at once: each keeps a core busy.
const CHECKS_MAX: usize = 2;
/// How long an upload may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long an upload may take in all.
const UPLOAD_MAX: Duration = Duration::from_secs(3600);

/// How large artifacts may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The tarball as it is uploaded, in bytes.
    pub packed_max: u64,
    /// After decompression, in bytes.
    pub unpacked_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packed_max: 512 * 1024 * 1024,
            unpacked_max: 2 * 1024 * 1024 * 1024,
        }
    }
}

/// The store of artifacts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Artifacts {
    incoming: PathBuf,
    kept: PathBuf,
    limits: Limits,
    uploads: Arc<Semaphore>,
    checks: Arc<Semaphore>,
}

/// An upload that is whole and good, and not yet visible. Dropping it takes it away.
#[derive(Debug)]
pub struct Received {
    file: NamedTempFile,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Length in bytes.
    pub size_bytes: u64,
}

impl Artifacts {
    /// Opens the store in `folder`, makes it when it is not there, and clears what a crash left.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn open(folder: &Path, limits: Limits) -> io::Result<Self> {
        let (incoming, kept) = (folder.join("incoming"), folder.join("sha256"));
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in [&incoming, &kept] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        Ok(Self {
            incoming,
            kept,
            limits,
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
        })
    }

    /// The folder with a file per content, for providers that read it on this machine.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.kept
    }

    /// Takes in an upload: streams it to disk while hashing, then looks through it.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::BrokenOff`], [`Error::Invalid`], [`Error::Busy`]; nothing is
    /// left behind then.
    pub async fn receive<E: std::fmt::Display>(
        &self,
        upload: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Received, Error> {
        let _place = self.uploads.try_acquire().map_err(|_| Error::Busy {
            what: "uploads",
            limit: UPLOADS_MAX,
        })?;
        let received = timeout(UPLOAD_MAX, self.stream_to_disk(upload))
            .await
            .map_err(|_| broken_off("it took longer than an hour"))??;
        let unpacked_max = self.limits.unpacked_max;
        blocking("checking an artifact", move || {
            let file = received.file.reopen().map_err(disk("reading an upload"))?;
            tarball::inspect(file, unpacked_max).map_err(invalid)?;
            let file = received.file.as_file();
            file.sync_all().map_err(disk("syncing an upload"))?;
            Ok(received)
        })
        .await
    }

    /// Makes an upload visible under its digest. One with the same content is replaced, which
    /// repairs it if its file was damaged.
    ///
    /// # Errors
    /// When the disk says no.
    pub async fn keep(&self, received: Received) -> Result<(), Error> {
        let kept = self.kept.clone();
        let path = self.path(&received.digest);
        blocking("keeping an artifact", move || {
            received
                .file
                .persist(path)
                .map_err(|error| disk("keeping an artifact")(error.error))?;
            let folder = fs::File::open(kept).map_err(disk("syncing the artifact store"))?;
            folder
                .sync_all()
                .map_err(disk("syncing the artifact store"))
        })
        .await
    }

    /// Hashes an artifact again.
    ///
    /// # Errors
    /// When the disk says no.
    pub async fn check(&self, digest: &Digest) -> Result<Artifact, Error> {
        let _place = self.checks.acquire().await.map_err(|_| Error::Internal {
            doing: "waiting to check an artifact",
        })?;
        let (path, digest) = (self.path(digest), digest.clone());
        blocking("checking an artifact", move || match hash_file(&path) {
            Ok(found) if found == digest => Ok(Artifact::Intact),
            Ok(_) => Ok(Artifact::Changed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Artifact::Missing),
            Err(error) => Err(disk("reading an artifact")(error)),
        })
        .await
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.kept.join(digest.as_str())
    }

    async fn stream_to_disk<E: std::fmt::Display>(
        &self,
        upload: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Received, Error> {
        let file = NamedTempFile::new_in(&self.incoming).map_err(disk("beginning an upload"))?;
        let permissions = fs::Permissions::from_mode(0o600);
        file.as_file()
            .set_permissions(permissions)
            .map_err(disk("beginning an upload"))?;
        let handle = file.reopen().map_err(disk("beginning an upload"))?;
        let mut writer = tokio::fs::File::from_std(handle);
        let (mut hasher, mut size_bytes) = (Sha256::new(), 0_u64);
        let mut upload = std::pin::pin!(upload);
        loop {
            let next = timeout(SILENCE_MAX, upload.next());
            let chunk = match next.await {
                Err(_) => return Err(broken_off("nothing came for 30 seconds")),
                Ok(None) => break,
                Ok(Some(Err(error))) => return Err(broken_off(&error.to_string())),
                Ok(Some(Ok(chunk))) => chunk,
            };
            size_bytes = size_bytes.saturating_add(chunk.len() as u64);
            if size_bytes > self.limits.packed_max {
                return Err(self.too_large());
            }
            hasher.update(&chunk);
            writer
                .write_all(&chunk)
                .await
                .map_err(disk("writing an upload"))?;
        }
        writer.flush().await.map_err(disk("writing an upload"))?;
        Ok(Received {
            file,
            digest: Digest::from_bytes(hasher.finalize().into()),
            size_bytes,
        })
    }

    fn too_large(&self) -> Error {
        Error::TooLarge {
            what: "the artifact",
            limit: format!("{} bytes", self.limits.packed_max),
        }
    }
}

fn hash_file(path: &Path) -> io::Result<Digest> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work)
        .await
        .map_err(|_| Error::Internal { doing })?
}

fn disk(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Disk { doing, source }
}

fn broken_off(why: &str) -> Error {
    Error::BrokenOff {
        why: why.to_owned(),
    }
}

fn invalid(fault: Fault) -> Error {
    Error::Invalid {
        what: "the artifact",
        faults: vec![fault],
    }
}
