//! Artifacts: gzipped tarballs, stored under their SHA-256 and unpacked once.
//!
//! Invariant: a tarball cannot write outside its own folder, and nothing half-written ever has its
//! final name.
//! Invariant: what an instance is started from is what the digest says: a folder that was changed since
//! it was unpacked, or that nobody in this run saw unpacked, is not used for another start.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::release::Digest;
use operations::package::{self, Item, ItemKind, Unreadable};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// Largest artifact, packed, in bytes.
pub const PACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Largest release, unpacked, in bytes.
const UNPACKED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// A folder that changed within this time may be one that an instance is just being started from.
const YOUNG: Duration = Duration::from_secs(60);

/// Why an artifact was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The content does not match its digest.
    #[error("the content has the digest {found}, not {wanted}; upload it again")]
    Digest {
        /// The digest that was given.
        wanted: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// It contains something that is not allowed.
    #[error("the artifact was refused: it {0}")]
    Refused(String),
    /// The disk or the stream failed.
    #[error("the artifact cannot be stored or read: {0}")]
    Io(#[from] io::Error),
}

/// The artifacts and releases of one machine.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
    /// What this run unpacked.
    unpacked: Arc<Mutex<BTreeMap<CopyFor, Arc<Once>>>>,
}

/// A package, unpacked for one user, or for that of the cloud.
type CopyFor = (Digest, Option<u32>);

/// Held while a release is unpacked, so that it is unpacked once.
type Once = Mutex<Option<Unpacked>>;

/// A release as it was unpacked.
#[derive(Debug)]
struct Unpacked {
    folder: PathBuf,
    /// Every file and folder in it.
    stamps: BTreeMap<PathBuf, Stamp>,
}

/// What changes when a file is written, or a folder gets another entry: the system sets the time of
/// the last change, and nobody can set it back.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    mode: u32,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let data = fs::symlink_metadata(path)?;
        Ok(Self {
            inode: data.ino(),
            mode: data.mode(),
            bytes: data.len(),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

impl Unpacked {
    fn new(folder: PathBuf, paths: BTreeSet<PathBuf>) -> io::Result<Self> {
        let stamp = |path: PathBuf| Ok((path.clone(), Stamp::of(&folder.join(path))?));
        let stamps: io::Result<_> = paths.into_iter().map(stamp).collect();
        let stamps = stamps?;
        Ok(Self { folder, stamps })
    }

    fn is_unchanged(&self) -> bool {
        let same = |(path, stamp): (&PathBuf, &Stamp)| {
            Stamp::of(&self.folder.join(path)).is_ok_and(|now| now == *stamp)
        };
        self.stamps.iter().all(same)
    }
}

impl Artifacts {
    /// Artifacts below `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            unpacked: Arc::default(),
        }
    }

    /// Whether this artifact is here.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.packed(digest).is_file()
    }

    /// Stores `content` if it has the right digest. Storing the same artifact again is fine.
    ///
    /// # Errors
    /// When the digest differs, it is too large, or the disk fails; nothing is kept then.
    pub fn store(&self, digest: &Digest, content: &mut dyn Read) -> Result<(), ArtifactError> {
        fs::create_dir_all(self.folder.join("artifacts"))?;
        let part = self
            .folder
            .join(format!("artifacts/{digest}.{}.part", unique()));
        let result = write_hashed(&part, digest, content)
            .and_then(|()| Ok(fs::rename(&part, self.packed(digest))?));
        if result.is_err() {
            // The rest is useless; if it cannot be removed, nothing changes.
            let _ = fs::remove_file(&part);
        }
        result
    }

    /// The folder with the unpacked release. Unpacks it the first time in this run, and into another
    /// folder when somebody changed it since; instances that run keep theirs. With a `user`, the folder
    /// is that user's own to read, and nobody's but ours to write.
    ///
    /// # Errors
    /// When the artifact is not here, is not the one that was stored, or contains something that is
    /// not allowed.
    pub fn unpacked(&self, digest: &Digest, user: Option<u32>) -> Result<PathBuf, ArtifactError> {
        let copy = (digest.clone(), user);
        let place = Arc::clone(self.unpacked.lock().entry(copy).or_default());
        let mut place = place.lock();
        if let Some(unpacked) = place.as_ref().filter(|it| it.is_unchanged()) {
            return Ok(unpacked.folder.clone());
        }
        let unpacked = self.unpack(digest, user)?;
        let folder = unpacked.folder.clone();
        *place = Some(unpacked);
        Ok(folder)
    }

    fn unpack(&self, digest: &Digest, user: Option<u32>) -> Result<Unpacked, ArtifactError> {
        let releases = self.folder.join("releases");
        let name = user.map_or_else(|| digest.to_string(), |user| format!("{digest}.user{user}"));
        let part = releases.join(format!("{name}.{}.part", unique()));
        fs::create_dir_all(&part)?;
        let packed = self.packed(digest);
        let result = File::open(&packed)
            .map_err(ArtifactError::from)
            .and_then(|file| unpack(digest, file, &part));
        if let Err(ArtifactError::Digest { .. }) = &result {
            // Useless; without it the next deployment brings it again.
            let _ = fs::remove_file(&packed);
        }
        let folder = (1..)
            .map(|number| match number {
                1 => releases.join(&name),
                number => releases.join(format!("{name}.{number}")),
            })
            .find(|folder| !folder.exists());
        let renamed = result.and_then(|paths| {
            let folder = folder.ok_or_else(|| io::Error::other("no name is left"))?;
            open_for(user, &part, &paths)?;
            fs::rename(&part, &folder)?;
            Ok(Unpacked::new(folder, paths)?)
        });
        if renamed.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        renamed
    }

    /// Removes the folders of releases that no instance uses and from which none would be started.
    pub fn prune(&self, in_use: &BTreeSet<PathBuf>) {
        let places: Vec<_> = self.unpacked.lock().values().cloned().collect();
        // One that is being unpacked now is young.
        let current = places.iter().filter_map(|place| {
            let place = place.try_lock()?;
            Some(place.as_ref()?.folder.clone())
        });
        let current: BTreeSet<PathBuf> = current.collect();
        let releases = fs::read_dir(self.folder.join("releases"));
        for release in releases.into_iter().flatten().flatten() {
            let path = release.path();
            let age = release.metadata().and_then(|it| it.modified());
            let age = age.map(|it| SystemTime::now().duration_since(it));
            let old = matches!(age, Ok(Ok(age)) if age > YOUNG);
            if old && !in_use.contains(&path) && !current.contains(&path) {
                tracing::debug!(path = %path.display(), "removing a release that nobody uses");
                // If it cannot be removed, it is tried again the next time.
                let _ = fs::remove_dir_all(path);
            }
        }
    }

    fn packed(&self, digest: &Digest) -> PathBuf {
        self.folder.join("artifacts").join(digest.as_str())
    }
}

/// A name that no other call has at the same time, in this process or another.
fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        CALLS.fetch_add(1, Ordering::Relaxed)
    )
}

fn write_hashed(path: &Path, wanted: &Digest, content: &mut dyn Read) -> Result<(), ArtifactError> {
    let mut file = File::create(path)?;
    let mut hash = Sha256::new();
    let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0);
    loop {
        let n = content.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        bytes += n as u64;
        if bytes > PACKED_BYTES_MAX {
            return Err(ArtifactError::Refused(format!(
                "is larger than {PACKED_BYTES_MAX} bytes"
            )));
        }
        hash.update(&buffer[..n]);
        file.write_all(&buffer[..n])?;
    }
    file.sync_all()?;
    let found = Digest::from_bytes(hash.finalize().into());
    if found == *wanted {
        Ok(())
    } else {
        Err(ArtifactError::Digest {
            wanted: wanted.clone(),
            found,
        })
    }
}

/// Writes every file and folder of a package below `into`, if it has this digest. Returns them all.
fn unpack(digest: &Digest, file: File, into: &Path) -> Result<BTreeSet<PathBuf>, ArtifactError> {
    let mut hashed = Hashed {
        inner: file,
        hash: Sha256::new(),
    };
    let mut paths = BTreeSet::from([PathBuf::new()]);
    let mut take = |item: Item<'_>| {
        let path = Path::new(item.path);
        paths.extend(path.ancestors().map(Path::to_owned));
        write_item(item, into).map_err(Unreadable::Taking)
    };
    let read = package::read(&mut hashed, UNPACKED_BYTES_MAX, &mut take);
    // To its end, also when it is no good: another content explains everything else.
    io::copy(&mut hashed, &mut io::sink())?;
    let found = Digest::from_bytes(hashed.hash.finalize().into());
    if found != *digest {
        let wanted = digest.clone();
        return Err(ArtifactError::Digest { wanted, found });
    }
    match read {
        Ok(()) => Ok(paths),
        Err(Unreadable::Refused(why)) => Err(ArtifactError::Refused(why)),
        Err(Unreadable::Taking(error)) => Err(error.into()),
    }
}

/// Lets instances read what was unpacked: those of one user only.
fn open_for(user: Option<u32>, part: &Path, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let inner = paths.iter().filter(|path| !path.as_os_str().is_empty());
    for path in inner.map(|path| part.join(path)) {
        if path.is_dir() {
            mode(&path, 0o755)?;
        }
    }
    match user {
        None => mode(part, 0o700),
        Some(user) => {
            chown(part, None, Some(user))?;
            mode(part, 0o750)
        }
    }
}

/// Hashes what is read.
struct Hashed<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

fn write_item(item: Item<'_>, into: &Path) -> io::Result<()> {
    let target = into.join(item.path);
    let ItemKind::File {
        executable,
        content,
        ..
    } = item.kind
    else {
        return fs::create_dir_all(&target);
    };
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let mode = if executable { 0o755 } else { 0o644 };
    // New files only: the system refuses an entry with the name of an earlier one.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(target)?;
    io::copy(content, &mut file)?;
    // Whatever the mask for new files is.
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests;
