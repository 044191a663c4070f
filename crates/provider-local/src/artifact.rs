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
    os::unix::fs::{MetadataExt, OpenOptionsExt},
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
    unpacked: Arc<Mutex<BTreeMap<Digest, Arc<Once>>>>,
}

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
    /// folder when somebody changed it since; instances that run keep theirs.
    ///
    /// # Errors
    /// When the artifact is not here, is not the one that was stored, or contains something that is
    /// not allowed.
    pub fn unpacked(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let place = Arc::clone(self.unpacked.lock().entry(digest.clone()).or_default());
        let mut place = place.lock();
        if let Some(unpacked) = place.as_ref().filter(|it| it.is_unchanged()) {
            return Ok(unpacked.folder.clone());
        }
        let unpacked = self.unpack(digest)?;
        let folder = unpacked.folder.clone();
        *place = Some(unpacked);
        Ok(folder)
    }

    fn unpack(&self, digest: &Digest) -> Result<Unpacked, ArtifactError> {
        let releases = self.folder.join("releases");
        let part = releases.join(format!("{digest}.{}.part", unique()));
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
                1 => releases.join(digest.as_str()),
                number => releases.join(format!("{digest}.{number}")),
            })
            .find(|folder| !folder.exists());
        let renamed = result.and_then(|paths| {
            let folder = folder.ok_or_else(|| io::Error::other("no name is left"))?;
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// A gzipped tarball of one entry, with a path that the `tar` crate itself would refuse to
    /// write.
    fn tarball(path: &str, kind: tar::EntryType) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(if kind == tar::EntryType::Regular {
            2
        } else {
            0
        });
        if kind == tar::EntryType::Symlink || kind == tar::EntryType::Link {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        let content: &[u8] = if kind == tar::EntryType::Regular {
            b"hi"
        } else {
            b""
        };
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn digest(bytes: &[u8]) -> Digest {
        Digest::from_bytes(Sha256::digest(bytes).into())
    }

    fn unpacks(bytes: &[u8]) -> Result<PathBuf, ArtifactError> {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.keep());
        artifacts.store(&digest(bytes), &mut &bytes[..])?;
        artifacts.unpacked(&digest(bytes))
    }

    #[test]
    fn files_come_out_as_they_went_in() {
        let folder = unpacks(&tarball("bin/run", tar::EntryType::Regular)).unwrap();
        assert_eq!(fs::read(folder.join("bin/run")).unwrap(), b"hi");
    }

    #[test]
    fn paths_and_links_that_lead_elsewhere_are_refused() {
        for path in ["../evil", "a/../../evil", "/etc/evil"] {
            let refused = unpacks(&tarball(path, tar::EntryType::Regular));
            assert!(
                matches!(refused, Err(ArtifactError::Refused(_))),
                "{path}: {refused:?}"
            );
        }
        for kind in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Char,
            tar::EntryType::Fifo,
        ] {
            let refused = unpacks(&tarball("x", kind));
            assert!(
                matches!(refused, Err(ArtifactError::Refused(_))),
                "{kind:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_no_tarball_or_another_one_leaves_nothing() {
        let garbage = unpacks(b"no tarball");
        let told = matches!(&garbage, Err(ArtifactError::Refused(why))
            if why.starts_with("is not a good gzipped tarball"));
        assert!(told, "{garbage:?}");
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path().to_owned());
        let wrong = artifacts.store(&digest(b"one"), &mut &b"other"[..]);
        assert!(matches!(wrong, Err(ArtifactError::Digest { .. })));
        assert_eq!(
            fs::read_dir(folder.path().join("artifacts"))
                .unwrap()
                .count(),
            0
        );
    }

    /// A stored package with the file `bin/run`, and where it is kept.
    fn stored() -> (tempfile::TempDir, Artifacts, Digest) {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path().to_owned());
        let bytes = tarball("bin/run", tar::EntryType::Regular);
        let digest = digest(&bytes);
        artifacts.store(&digest, &mut &bytes[..]).unwrap();
        (folder, artifacts, digest)
    }

    #[test]
    fn nothing_is_started_from_files_that_were_changed() {
        let (_folder, artifacts, digest) = stored();
        let first = artifacts.unpacked(&digest).unwrap();
        assert_eq!(artifacts.unpacked(&digest).unwrap(), first, "unpacked once");
        fs::write(first.join("bin/run"), "ev").unwrap();
        let second = artifacts.unpacked(&digest).unwrap();
        assert_ne!(second, first);
        assert_eq!(fs::read(second.join("bin/run")).unwrap(), b"hi");
        assert_eq!(
            fs::read(first.join("bin/run")).unwrap(),
            b"ev",
            "left to those who use it"
        );
        fs::write(second.join("bin/more"), "").unwrap();
        let third = artifacts.unpacked(&digest).unwrap();
        assert!(!third.join("bin/more").exists(), "added files count too");
        // Another run trusts no folder of an earlier one.
        let again = Artifacts::new(artifacts.folder.clone());
        assert_ne!(again.unpacked(&digest).unwrap(), third);
    }

    #[test]
    fn a_package_that_was_changed_is_not_unpacked() {
        let (_folder, artifacts, digest) = stored();
        let other = tarball("bin/other", tar::EntryType::Regular);
        fs::write(artifacts.packed(&digest), other).unwrap();
        let changed = artifacts.unpacked(&digest);
        assert!(
            matches!(changed, Err(ArtifactError::Digest { .. })),
            "{changed:?}"
        );
        assert!(!artifacts.has(&digest), "it is brought again");
    }

    #[test]
    fn folders_that_nobody_uses_are_removed() {
        let (_folder, artifacts, digest) = stored();
        let first = artifacts.unpacked(&digest).unwrap();
        fs::write(first.join("more"), "").unwrap();
        let second = artifacts.unpacked(&digest).unwrap();
        let age = |path: &Path| {
            let old = SystemTime::now() - 2 * YOUNG;
            File::open(path).unwrap().set_modified(old).unwrap();
        };
        age(&first);
        artifacts.prune(&BTreeSet::from([first.clone()]));
        assert!(first.exists(), "an instance uses it");
        artifacts.prune(&BTreeSet::new());
        assert!(!first.exists() && second.exists());
    }
}
