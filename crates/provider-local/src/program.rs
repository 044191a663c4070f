//! The program that this process runs: the daemon and the router are started from the very same file,
//! also when another one has taken its place meanwhile.

use std::{fs, io, os::unix::fs::MetadataExt};

/// The file of this process's program.
pub(crate) const OWN: &str = "/proc/self/exe";

/// Which program this process runs, as a text that differs from build to build.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn build() -> io::Result<String> {
    let file = fs::metadata(OWN)?;
    let (at, ns) = (file.mtime(), file.mtime_nsec());
    Ok(format!(
        "{}.{}.{}.{at}.{ns}",
        file.dev(),
        file.ino(),
        file.len()
    ))
}
