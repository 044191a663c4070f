//! One entry of a tarball: its name, which extended headers may carry, and what it may be.

use std::{io::Read, path::Component};

use tar::{Entry, EntryType, PaxExtensions};

use super::Unreadable;

/// Longest path of an entry, and longest part of one, in bytes.
const PATH_LEN_MAX: usize = 1024;
const PART_LEN_MAX: usize = 255;
/// Largest extended header, in bytes: room for a few long paths.
const EXTENDED_LEN_MAX: u64 = 8 * 1024;

/// What the extended headers say of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extended {
    path: Option<Vec<u8>>,
    bytes: Option<u64>,
}

/// An entry that is a file or a folder.
pub(super) struct Described {
    /// Its path without `.` parts.
    pub(super) path: String,
    pub(super) is_folder: bool,
}

impl Extended {
    /// Takes an extended header. False when the entry is no such header.
    pub(super) fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<bool, Unreadable> {
        match entry.header().entry_type() {
            EntryType::XGlobalHeader => {} // comments of `git archive`
            // The target of a link, which is refused as soon as it comes.
            EntryType::GNULongLink => {
                record(entry)?;
            }
            EntryType::GNULongName => {
                let mut name = record(entry)?;
                while name.last() == Some(&0) {
                    name.pop();
                }
                self.name(name)?;
            }
            EntryType::XHeader => self.pax(&record(entry)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn name(&mut self, name: Vec<u8>) -> Result<(), Unreadable> {
        match self.path.replace(name) {
            None => Ok(()),
            Some(_) => Err(Unreadable::refused("has an entry with two names")),
        }
    }

    fn pax(&mut self, record: &[u8]) -> Result<(), Unreadable> {
        for extension in PaxExtensions::new(record) {
            let extension = extension.map_err(|error| Unreadable::not_good(&error))?;
            match extension.key_bytes() {
                b"path" => self.name(extension.value_bytes().to_vec())?,
                b"size" => {
                    let bytes = extension.value().ok().and_then(|it| it.parse().ok());
                    let why = "has an entry whose size is not a number";
                    self.bytes = Some(bytes.ok_or(Unreadable::refused(why))?);
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(sparse()),
                _ => {}
            }
        }
        Ok(())
    }

    /// What the entry is that these headers belong to.
    pub(super) fn describe<R: Read>(self, entry: &Entry<'_, R>) -> Result<Described, Unreadable> {
        let name = self.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = safe_path(&name)?;
        let refuse = |why: &str| Err(Unreadable::refused(format!("{path:?} {why}")));
        let is_folder = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => false,
            EntryType::Directory => true,
            EntryType::Symlink | EntryType::Link => {
                return refuse(
                    "is a link; pack with links followed (tar --dereference --hard-dereference)",
                );
            }
            EntryType::GNUSparse => return Err(sparse()),
            _ => return refuse("is neither a file nor a folder; take it out"),
        };
        if self.bytes.is_some_and(|bytes| bytes != entry.size()) {
            return refuse("has two sizes");
        }
        if path.is_empty() && !is_folder {
            return Err(Unreadable::refused("has a file without a name"));
        }
        Ok(Described { path, is_folder })
    }
}

fn sparse() -> Unreadable {
    Unreadable::refused("holds a sparse file; pack without --sparse")
}

fn record<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, Unreadable> {
    let bytes = entry.size();
    if bytes > EXTENDED_LEN_MAX {
        return Err(Unreadable::refused(format!(
            "has an extended header of {bytes} bytes; at most {EXTENDED_LEN_MAX} are read"
        )));
    }
    let mut record = Vec::new();
    let read = entry.take(EXTENDED_LEN_MAX).read_to_end(&mut record);
    read.map_err(|error| Unreadable::not_good(&error))?;
    Ok(record)
}

/// The path of an entry without `.` parts, provided that it stays below the root and any system can
/// hold it.
fn safe_path(bytes: &[u8]) -> Result<String, Unreadable> {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    let refuse = |why: &str| Err(Unreadable::refused(format!("the path {shown:?} {why}")));
    let Ok(text) = std::str::from_utf8(bytes) else {
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
            Component::Normal(part) if part.len() > PART_LEN_MAX => {
                return refuse(&format!("has a part of more than {PART_LEN_MAX} bytes"));
            }
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => return refuse("contains `..`"),
            Component::RootDir | Component::Prefix(_) => return refuse("is absolute"),
        }
    }
    Ok(parts.join("/"))
}
