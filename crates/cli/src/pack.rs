//! Packs a release folder into a gzipped tarball.
//!
//! Invariant: the same files give the same bytes, on every machine and at every time: sorted,
//! without owners and times, with modes 644 or 755. So uploading a release twice is no conflict.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read, Seek},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder};

use super::failure::Failure;

/// Most files and folders in one release.
const ENTRIES_MAX: usize = 100_000;

/// An artifact ready to be uploaded.
#[derive(Debug)]
pub struct Artifact {
    /// The gzipped tarball, at its start.
    pub file: File,
    /// Its length in bytes.
    pub len: u64,
}

/// The artifact at `path`: a folder is packed, a gzipped tarball is taken as it is.
///
/// # Errors
/// When it is neither, cannot be read, or holds something that a release may not hold.
pub fn artifact(path: &Path) -> Result<Artifact, Failure> {
    let unreadable = |error: io::Error| {
        Failure::usage(format!("the artifact {} cannot be read", path.display()))
            .because(error)
            .next("choose a folder with a Procfile, or a gzipped tarball of one")
    };
    let mut file = if fs::metadata(path).map_err(unreadable)?.is_dir() {
        pack(path)?
    } else {
        let mut file = File::open(path).map_err(unreadable)?;
        require_gzip(&mut file, path)?;
        file
    };
    let len = file.metadata().map_err(unreadable)?.len();
    file.rewind().map_err(unreadable)?;
    Ok(Artifact { file, len })
}

fn require_gzip(file: &mut File, path: &Path) -> Result<(), Failure> {
    let mut magic = [0; 2];
    match file.read_exact(&mut magic) {
        Ok(()) if magic == [0x1f, 0x8b] => Ok(()),
        _ => Err(
            Failure::usage(format!("{} is not a gzipped tarball", path.display())).next(
                "choose a folder, or create the file with `tar --create --gzip --file FILE.tar.gz -C FOLDER .`",
            ),
        ),
    }
}

fn pack(folder: &Path) -> Result<File, Failure> {
    if !folder.join("Procfile").is_file() {
        return Err(
            Failure::usage(format!("{} has no Procfile", folder.display()))
                .because("it defines how an instance is started")
                .next("write one with the line `web: COMMAND`; the command listens on $PORT"),
        );
    }
    let entries = entries(folder)?;
    let failed = |error: io::Error| {
        Failure::usage(format!("{} cannot be packed", folder.display())).because(error)
    };
    write(folder, &entries).map_err(failed)
}

/// Every file and folder below `folder`, as sorted relative paths.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, Failure> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let there = folder.join(&below);
        let unreadable = |error: io::Error| {
            Failure::usage(format!("{} cannot be read", there.display())).because(error)
        };
        for entry in fs::read_dir(&there).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (path, metadata) = (
                below.join(entry.file_name()),
                entry.metadata().map_err(unreadable)?,
            );
            if metadata.is_dir() {
                folders.push(path.clone());
            } else if !metadata.is_file() {
                return Err(not_packable(&path));
            }
            entries.push((path, metadata));
            if entries.len() > ENTRIES_MAX {
                return Err(Failure::usage(format!(
                    "{} contains more than {ENTRIES_MAX} files",
                    folder.display()
                )));
            }
        }
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

fn not_packable(path: &Path) -> Failure {
    Failure::usage(format!("{} is neither a file nor a folder", path.display()))
        .because("a release contains no links and no devices, so that it is the same everywhere")
        .next("replace it with a copy of its target")
}

fn write(folder: &Path, entries: &[(PathBuf, Metadata)]) -> io::Result<File> {
    let file = tempfile::tempfile()?;
    // `mtime(0)` and no file name: the header of the compressed file says nothing about today.
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(BufWriter::new(file), Compression::new(6));
    let mut tar = tar::Builder::new(gzip);
    for (path, metadata) in entries {
        append(&mut tar, folder, path, metadata)?;
    }
    let written = tar.into_inner()?.finish()?;
    written.into_inner().map_err(io::IntoInnerError::into_error)
}

fn append<W: io::Write>(
    tar: &mut tar::Builder<W>,
    folder: &Path,
    path: &Path,
    metadata: &Metadata,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    if metadata.is_dir() {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        return tar.append_data(&mut header, path, io::empty());
    }
    let executable = metadata.permissions().mode() & 0o111 != 0;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_size(metadata.len());
    // A file that grows meanwhile is cut; one that shrinks is an error, never padded.
    let file = File::open(folder.join(path))?;
    let mut exactly = Exactly {
        file,
        left: metadata.len(),
    };
    tar.append_data(&mut header, path, &mut exactly)
}

/// Reads exactly as many bytes as the header says.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.file).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file changed while it was packed"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("Procfile"), "web: ./run\n").expect("written");
        fs::create_dir(folder.path().join("b")).expect("made");
        fs::write(folder.path().join("b/x"), "x").expect("written");
        fs::write(folder.path().join("a"), "a").expect("written");
        folder
    }

    fn bytes(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut artifact = artifact(path).expect("packed");
        artifact.file.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len() as u64, artifact.len);
        bytes
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let (one, two) = (folder(), folder());
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(two.path().join("a"), mode).expect("set");
        assert_eq!(bytes(one.path()), bytes(two.path()));
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(two.path().join("a"), mode).expect("set");
        assert_ne!(bytes(one.path()), bytes(two.path()), "executable or not");
    }

    #[test]
    fn the_tarball_holds_the_files_in_order() {
        let folder = folder();
        let packed = bytes(folder.path());
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let paths: Vec<String> = tar
            .entries()
            .expect("entries")
            .map(|entry| {
                let entry = entry.expect("an entry");
                entry.path().expect("a path").display().to_string()
            })
            .collect();
        assert_eq!(paths, ["Procfile", "a", "b", "b/x"]);
    }

    #[test]
    fn links_and_folders_without_procfile_are_refused() {
        let folder = folder();
        symlink("/etc/passwd", folder.path().join("link")).expect("linked");
        let empty = tempfile::tempdir().expect("a temporary folder");
        let plain = folder.path().join("a");
        for (path, why) in [
            (folder.path(), "link is neither a file nor a folder"),
            (empty.path(), "has no Procfile"),
            (&plain, "is not a gzipped tarball"),
        ] {
            let refused = format!("{:?}", artifact(path));
            assert!(refused.contains(why), "{why}: {refused}");
        }
    }
}
