//! Artifacts: gzipped tarballs, stored under their SHA-256 and unpacked once.
//!
//! Invariant: a tarball cannot write outside its own folder, and nothing half-written ever has its
//! final name.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};

use domain::release::Digest;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

/// Largest artifact, packed, in bytes.
pub const PACKED_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Largest release, unpacked, in bytes.
const UNPACKED_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Maximum number of files and folders in a release.
const ENTRIES_MAX: usize = 100_000;

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
    #[error("the artifact was refused: {0}")]
    Refused(String),
    /// The disk or the stream failed.
    #[error("the artifact cannot be stored or read: {0}")]
    Io(#[from] io::Error),
}

/// The artifacts and releases of one machine.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Artifacts below `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
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

    /// The folder with the unpacked release; unpacks it the first time.
    ///
    /// # Errors
    /// When the artifact is not here, or contains something that is not allowed.
    pub fn unpacked(&self, digest: &Digest) -> Result<PathBuf, ArtifactError> {
        let folder = self.folder.join("releases").join(digest.as_str());
        if folder.is_dir() {
            return Ok(folder);
        }
        let part = self
            .folder
            .join(format!("releases/{digest}.{}.part", unique()));
        fs::create_dir_all(&part)?;
        let result = File::open(self.packed(digest))
            .map_err(ArtifactError::from)
            .and_then(|file| unpack(MultiGzDecoder::new(file), &part))
            .and_then(|()| Ok(fs::rename(&part, &folder)?));
        if result.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        match result {
            // Another call has unpacked it: the result is the same.
            Err(ArtifactError::Io(_)) if folder.is_dir() => Ok(folder),
            result => result.map(|()| folder),
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
                "it is larger than {PACKED_BYTES_MAX} bytes"
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

/// Writes every file and folder of a tarball below `into`. Links, devices and paths that lead
/// elsewhere are refused, whatever they point to.
fn unpack(tarball: impl Read, into: &Path) -> Result<(), ArtifactError> {
    let refused = |text: String| Err(ArtifactError::Refused(text));
    let mut archive = tar::Archive::new(tarball);
    let mut bytes = 0;
    for (number, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if number >= ENTRIES_MAX {
            return refused(format!("it has more than {ENTRIES_MAX} entries"));
        }
        let path = entry.path()?.into_owned();
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(plain) {
            return refused(format!("{} leads out of the release", path.display()));
        }
        bytes += entry.size();
        if bytes > UNPACKED_BYTES_MAX {
            return refused(format!(
                "unpacked it is larger than {UNPACKED_BYTES_MAX} bytes"
            ));
        }
        let target = into.join(&path);
        match entry.header().entry_type() {
            tar::EntryType::Directory => fs::create_dir_all(&target)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                write_entry(&mut entry, &target)?;
            }
            tar::EntryType::XGlobalHeader | tar::EntryType::XHeader => {}
            other => {
                return refused(format!(
                    "{} is a {other:?}; only files and folders are allowed",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

fn write_entry(entry: &mut tar::Entry<'_, impl Read>, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let executable = entry.header().mode()? & 0o100 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    // New files only: the system refuses an entry with the name of an earlier one.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(target)?;
    io::copy(entry, &mut file)?;
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
        assert!(matches!(garbage, Err(ArtifactError::Io(_))), "{garbage:?}");
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
}
