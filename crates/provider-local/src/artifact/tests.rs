//! What is unpacked, what is refused, and what is started from.

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
    artifacts.unpacked(&digest(bytes), None)
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
    let first = artifacts.unpacked(&digest, None).unwrap();
    assert_eq!(
        artifacts.unpacked(&digest, None).unwrap(),
        first,
        "unpacked once"
    );
    fs::write(first.join("bin/run"), "ev").unwrap();
    let second = artifacts.unpacked(&digest, None).unwrap();
    assert_ne!(second, first);
    assert_eq!(fs::read(second.join("bin/run")).unwrap(), b"hi");
    assert_eq!(
        fs::read(first.join("bin/run")).unwrap(),
        b"ev",
        "left to those who use it"
    );
    fs::write(second.join("bin/more"), "").unwrap();
    let third = artifacts.unpacked(&digest, None).unwrap();
    assert!(!third.join("bin/more").exists(), "added files count too");
    // Another run trusts no folder of an earlier one.
    let again = Artifacts::new(artifacts.folder.clone());
    assert_ne!(again.unpacked(&digest, None).unwrap(), third);
}

#[test]
fn a_package_that_was_changed_is_not_unpacked() {
    let (_folder, artifacts, digest) = stored();
    let other = tarball("bin/other", tar::EntryType::Regular);
    fs::write(artifacts.packed(&digest), other).unwrap();
    let changed = artifacts.unpacked(&digest, None);
    assert!(
        matches!(changed, Err(ArtifactError::Digest { .. })),
        "{changed:?}"
    );
    assert!(!artifacts.has(&digest), "it is brought again");
}

#[test]
fn folders_that_nobody_uses_are_removed() {
    let (_folder, artifacts, digest) = stored();
    let first = artifacts.unpacked(&digest, None).unwrap();
    fs::write(first.join("more"), "").unwrap();
    let second = artifacts.unpacked(&digest, None).unwrap();
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
