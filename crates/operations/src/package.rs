//! Reads packages: gzipped tarballs of plain files and folders, with a Procfile at their root. Whoever
//! accepts a package and whoever unpacks it use this one reader, so that nothing is accepted that means
//! something else, or nothing at all, where it is unpacked.
//!
//! Invariant: only plain files and folders below the root come out, so that unpacking can neither leave
//! its folder nor follow a link.
//! Invariant: everything is bounded: entries, paths, extended headers, and bytes after decompression.

mod entry;
mod procfile;

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read},
};

use flate2::bufread::GzDecoder;
use tar::Archive;

use entry::Extended;
pub use procfile::{PROCFILE, web_command};

/// Most entries of a package.
const ENTRIES_MAX: usize = 50_000;
/// Largest Procfile, in bytes.
pub const PROCFILE_LEN_MAX: u64 = 64 * 1024;

/// One file or folder of a package.
#[derive(Debug)]
pub struct Item<'a> {
    /// Its path below the root, without `.` parts. Empty for the root itself.
    pub path: &'a str,
    /// What it is.
    pub kind: ItemKind<'a>,
}

/// What an item is.
pub enum ItemKind<'a> {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Whether its owner may run it.
        executable: bool,
        /// How long it is, in bytes.
        bytes: u64,
        /// What is in it.
        content: &'a mut dyn Read,
    },
}

impl std::fmt::Debug for ItemKind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder => f.write_str("Folder"),
            Self::File { bytes, .. } => write!(f, "File({bytes} bytes)"),
        }
    }
}

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is no good package, in words that follow its name.
    #[error("{0}")]
    Refused(String),
    /// Whoever took its items failed.
    #[error(transparent)]
    Taking(io::Error),
}

impl Unreadable {
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    pub(crate) fn not_good(error: &io::Error) -> Self {
        Self::refused(format!("is not a good gzipped tarball: {error}"))
    }
}

/// Reads the package in `file`, which may hold at most `bytes_max` bytes after decompression, and hands
/// each of its items to `take`, in their order. Items that were handed over may be followed by a
/// refusal.
///
/// # Errors
/// When it is no good package, when it has something else than files and folders, when two items have
/// one name, or when `take` fails.
pub fn read(
    file: impl Read,
    bytes_max: u64,
    take: &mut dyn FnMut(Item<'_>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut decoder = GzDecoder::new(BufReader::with_capacity(256 * 1024, file));
    let limited = Limited {
        inner: &mut decoder,
        left: bytes_max,
    };
    let mut archive = Archive::new(limited);
    let mut names = Names::default();
    let mut extended = Extended::default();
    let not_good = |error: io::Error| Unreadable::not_good(&error);
    // Raw: extended headers come as entries, and not one of them is read into memory whole.
    let entries = archive.entries().map_err(not_good)?.raw(true);
    let mut items = 0;
    for entry in entries {
        let mut entry = entry.map_err(not_good)?;
        if extended.take(&mut entry)? {
            continue;
        }
        items += 1;
        if items > ENTRIES_MAX {
            let why = format!("has more than {ENTRIES_MAX} entries");
            return Err(Unreadable::refused(why));
        }
        let described = std::mem::take(&mut extended).describe(&entry)?;
        names.note(&described)?;
        let kind = if described.is_folder {
            ItemKind::Folder
        } else {
            ItemKind::File {
                executable: entry.header().mode().map_err(not_good)? & 0o100 != 0,
                bytes: entry.size(),
                content: &mut entry,
            }
        };
        let path = &described.path;
        take(Item { path, kind })?;
    }
    let mut rest = archive.into_inner();
    // Reads on to the end, so that the checksum of the compressed stream is checked.
    io::copy(&mut rest, &mut io::sink()).map_err(not_good)?;
    let after = decoder.into_inner().fill_buf().map_or(0, <[u8]>::len);
    if after > 0 {
        let why = "has data after the end of the compressed stream";
        return Err(Unreadable::refused(why));
    }
    Ok(())
}

/// The names that were seen: none may be a file and a folder, or two files.
#[derive(Default)]
struct Names {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Names {
    fn note(&mut self, described: &entry::Described) -> Result<(), Unreadable> {
        let path = &described.path;
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.files.contains(folder) {
                let why = format!("{path:?} lies in something that is a file");
                return Err(Unreadable::refused(why));
            }
            if !self.folders.contains(folder) {
                self.folders.insert(folder.to_owned());
            }
        }
        let (same, other) = if described.is_folder {
            (&mut self.folders, &self.files)
        } else {
            (&mut self.files, &self.folders)
        };
        if other.contains(path) {
            let why = format!("{path:?} is a file and a folder");
            return Err(Unreadable::refused(why));
        }
        if !same.insert(path.clone()) && !described.is_folder {
            return Err(Unreadable::refused(format!("{path:?} is in it twice")));
        }
        Ok(())
    }
}

/// Reads at most so many bytes, and says so when there are more.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it is too large after decompression"))?;
        Ok(read)
    }
}
