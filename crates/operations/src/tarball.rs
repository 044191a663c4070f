//! Looks through an uploaded tarball before anybody may deploy it.
//!
//! Invariant: only plain files and folders below the root are accepted, so that unpacking can neither
//! leave its folder nor follow a link. Providers that unpack check the same again.
//! Invariant: everything is bounded: entries, path lengths, and bytes after decompression.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read},
    path::Component,
};

use flate2::bufread::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::error::Fault;

/// Most entries of a tarball.
const ENTRIES_MAX: usize = 50_000;
/// Longest path of an entry, in bytes.
const PATH_LEN_MAX: usize = 1024;
/// Largest Procfile, in bytes.
const PROCFILE_LEN_MAX: u64 = 64 * 1024;
/// The file that says how to start an instance.
const PROCFILE: &str = "Procfile";

/// Says what is wrong with the gzipped tarball in `file`, which may hold at most `bytes_max` bytes
/// after decompression. An I/O error of the disk is an `Err`; anything else is the uploader's fault.
pub(super) fn inspect(file: impl Read, bytes_max: u64) -> Result<(), Fault> {
    let mut decoder = GzDecoder::new(BufReader::with_capacity(256 * 1024, file));
    let limited = Limited {
        inner: &mut decoder,
        left: bytes_max,
    };
    let mut archive = Archive::new(limited);
    let mut seen = Seen::default();
    let entries = archive.entries().map_err(|error| not_a_tarball(&error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| not_a_tarball(&error))?;
        seen.take(&mut entry)?;
    }
    let mut rest = archive.into_inner();
    // Reads on to the end, so that the checksum of the compressed stream is checked.
    io::copy(&mut rest, &mut io::sink()).map_err(|error| not_a_tarball(&error))?;
    let after = decoder.into_inner().fill_buf().map_or(0, <[u8]>::len);
    if after > 0 {
        return Err(fault("has data after the end of the compressed stream"));
    }
    seen.finish()
}

/// What was seen of a tarball so far.
#[derive(Default)]
struct Seen {
    entries: usize,
    paths: BTreeSet<String>,
    procfile: Option<String>,
}

impl Seen {
    fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), Fault> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(fault(format!("has more than {ENTRIES_MAX} entries")));
        }
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(()); // comments of `git archive`
        }
        let path = safe_path(entry)?;
        match kind {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory => return Ok(()),
            EntryType::Symlink | EntryType::Link => {
                let message =
                    "is a link; pack with links followed (tar --dereference --hard-dereference)";
                return Err(fault(format!("{path:?} {message}")));
            }
            _ => {
                let message = "is neither a file nor a folder; take it out";
                return Err(fault(format!("{path:?} {message}")));
            }
        }
        if path == PROCFILE {
            self.procfile = Some(procfile(entry)?);
        }
        if !self.paths.insert(path.clone()) {
            return Err(fault(format!("{path:?} is in it twice")));
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Fault> {
        if let Some(path) = self.paths.iter().find(|path| self.lies_in_file(path)) {
            return Err(fault(format!("{path:?} lies in something that is a file")));
        }
        let Some(procfile) = self.procfile else {
            return Err(fault(
                "has no Procfile at its root; write one with a line such as `web: ./server`",
            ));
        };
        let starts_web = procfile.lines().any(|line| {
            line.strip_prefix("web:")
                .is_some_and(|command| !command.trim().is_empty())
        });
        if starts_web {
            Ok(())
        } else {
            Err(fault("has a Procfile without a line `web: COMMAND`"))
        }
    }

    fn lies_in_file(&self, path: &str) -> bool {
        path.match_indices('/')
            .any(|(end, _)| self.paths.contains(&path[..end]))
    }
}

/// The path of an entry without `.` parts, provided that it stays below the root.
fn safe_path<R: Read>(entry: &Entry<'_, R>) -> Result<String, Fault> {
    let bytes = entry.path_bytes();
    let shown = quotable(&bytes);
    let refuse = |why: &str| Err(fault(format!("the path {shown:?} {why}")));
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return refuse("is not UTF-8");
    };
    if text.len() > PATH_LEN_MAX {
        return refuse(&format!("is longer than {PATH_LEN_MAX} bytes"));
    }
    if text.chars().any(char::is_control) {
        return refuse("holds control characters");
    }
    let mut parts = Vec::new();
    for component in std::path::Path::new(text).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return refuse("contains `..`"),
            Component::RootDir | Component::Prefix(_) => return refuse("is absolute"),
        }
    }
    Ok(parts.join("/"))
}

fn procfile<R: Read>(entry: &mut Entry<'_, R>) -> Result<String, Fault> {
    if entry.size() > PROCFILE_LEN_MAX {
        return Err(fault(format!(
            "has a Procfile larger than {PROCFILE_LEN_MAX} bytes"
        )));
    }
    let mut text = String::new();
    match entry.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(fault("has a Procfile that is not UTF-8 text"))
        }
        Err(error) => Err(not_a_tarball(&error)),
    }
}

fn quotable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(200).collect()
}

fn not_a_tarball(error: &io::Error) -> Fault {
    fault(format!("is not a good gzipped tarball: {error}"))
}

fn fault(message: impl Into<String>) -> Fault {
    Fault::of("artifact", message)
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

#[cfg(test)]
mod tests;
