//! The output of instances: one file each, bounded, readable while it is written.
//!
//! Instances write straight into their file, so nothing is lost while the daemon does not run. A
//! file that grew too large is copied and then emptied while the instance keeps writing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use domain::observation::InstanceId;

/// A file that is larger than this is rotated, in bytes.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Number of rotated files that are kept per instance.
const KEPT: u32 = 2;
/// Maximum number of files in the folder of one server group, including those of instances that are
/// gone.
const FILES_MAX: usize = 60;
/// Pause between two checks of the sizes, and the one after a check that found a large file: its
/// writer may be fast.
const LOOK: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Maximum number of bytes that are read from the end of a file to find its last lines.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// The file of one instance.
#[must_use]
pub fn file(logs: &Path, place: &str, id: &InstanceId) -> PathBuf {
    logs.join(place).join(format!("{id}.log"))
}

/// The ids of all instances that have a log.
pub fn instances(logs: &Path) -> impl Iterator<Item = String> {
    let files = |place: fs::DirEntry| fs::read_dir(place.path()).into_iter().flatten();
    let places = fs::read_dir(logs).into_iter().flatten().flatten();
    places.flat_map(files).flatten().filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        Some(name.split_once(".log")?.0.to_owned())
    })
}

/// Adds a line from Pointsman to the log of an instance.
pub fn note(path: &Path, text: &str) {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{text}")
    };
    if let Err(error) = write() {
        tracing::warn!(path = %path.display(), %error, "cannot write to a log");
    }
}

/// Keeps every log small, for as long as it is polled: those of instances, and our `own`.
pub async fn rotate_for_ever(logs: PathBuf, own: Vec<PathBuf>) {
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let (logs, own) = (logs.clone(), own.clone());
        let rotate = move || Ok(rotate_own(&own)? + rotate_all(&logs)?);
        let rotated: Result<io::Result<usize>, _> = tokio::task::spawn_blocking(rotate).await;
        pause = match rotated {
            Ok(Ok(many)) if many > 0 => LOOK_AGAIN,
            Ok(Err(error)) => {
                tracing::warn!(%error, "cannot rotate logs");
                LOOK
            }
            _ => LOOK,
        };
    }
}

/// Puts those of these logs aside that are too large, and returns how many that were.
fn rotate_own(logs: &[PathBuf]) -> io::Result<usize> {
    let mut rotated = 0;
    for log in logs {
        // One that was never written to is small.
        if fs::metadata(log).is_ok_and(|data| data.len() > FILE_BYTES_MAX) {
            rotate(log)?;
            rotated += 1;
        }
    }
    Ok(rotated)
}

/// Puts every log aside that is too large, and returns how many that were.
fn rotate_all(logs: &Path) -> io::Result<usize> {
    let mut rotated = 0;
    for place in fs::read_dir(logs)?.flatten() {
        let mut files = Vec::new();
        for file in fs::read_dir(place.path())?.flatten() {
            let data = file.metadata()?;
            if file.path().extension().is_some_and(|end| end == "log")
                && data.len() > FILE_BYTES_MAX
            {
                rotate(&file.path())?;
                rotated += 1;
            }
            files.push((data.modified()?, file.path()));
        }
        files.sort();
        let surplus = files.len().saturating_sub(FILES_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
    }
    Ok(rotated)
}

/// `x.log.1` becomes `x.log.2`, and so on; the end of `x.log` is copied to `x.log.1`, and `x.log` is
/// emptied. Never more is copied than a file may hold, however fast somebody writes.
fn rotate(path: &Path) -> io::Result<()> {
    let aside = |n: u32| PathBuf::from(format!("{}.{n}", path.display()));
    for n in (1..KEPT).rev() {
        if aside(n).exists() {
            fs::rename(aside(n), aside(n + 1))?;
        }
    }
    let mut file = File::open(path)?;
    let left_out = file.metadata()?.len().saturating_sub(FILE_BYTES_MAX);
    let mut copy = File::create(aside(1))?;
    if left_out > 0 {
        file.seek(SeekFrom::Start(left_out))?;
        writeln!(
            copy,
            "pointsman: {left_out} bytes are left out here, as too much was written"
        )?;
    }
    io::copy(&mut file.take(FILE_BYTES_MAX), &mut copy)?;
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Reads a log piece by piece, each time from where it stopped.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    offset: u64,
}

impl Reader {
    /// Begins `lines` lines before the end.
    #[must_use]
    pub fn tail(path: PathBuf, lines: usize) -> Self {
        let offset = tail_offset(&path, lines).unwrap_or(0);
        Self { path, offset }
    }

    /// The new whole lines, at most a megabyte at a time. A file that has been emptied since is
    /// read from its beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if bytes.len() as u64 == TAIL_BYTES_MAX => bytes.len(),
            None => 0,
        };
        bytes.truncate(whole);
        self.offset += whole as u64;
        Ok(bytes)
    }
}

fn tail_offset(path: &Path, lines: usize) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let ends = bytes
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    let start = ends.map(|(at, _)| at + 1).nth(lines).unwrap_or(0);
    Ok(from + start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_come_first_and_then_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i-1.log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let mut reader = Reader::tail(path.clone(), 2);
        assert_eq!(reader.read().unwrap(), b"two\nthree\n");
        assert_eq!(reader.read().unwrap(), b"");
        note(&path, "four");
        assert_eq!(reader.read().unwrap(), b"four\n");
    }

    #[test]
    fn our_own_logs_are_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let (large, never) = (
            folder.path().join("router.log"),
            folder.path().join("x.log"),
        );
        let long = "x".repeat(1 << 20) + "\n";
        let mut written = OpenOptions::new();
        let mut written = written.create(true).append(true).open(&large).unwrap();
        for round in 0..12 {
            written.write_all(long.as_bytes()).unwrap();
            let rotated = rotate_own(&[large.clone(), never.clone()]).unwrap();
            assert_eq!(rotated, usize::from(round % 4 == 3), "round {round}");
        }
        let files = fs::read_dir(folder.path()).unwrap().flatten();
        let sizes: Vec<u64> = files.map(|it| it.metadata().unwrap().len()).collect();
        assert!(sizes.iter().sum::<u64>() < 3 * FILE_BYTES_MAX, "{sizes:?}");
    }

    #[test]
    fn a_large_log_is_put_aside_and_the_reader_follows() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("cart.live");
        fs::create_dir(&place).unwrap();
        let path = place.join("i-1.log");
        let line = "x".repeat(1023) + "\n";
        fs::write(&path, line.repeat(5 * 1024)).unwrap();
        let mut reader = Reader::tail(path.clone(), 1);
        assert_eq!(reader.read().unwrap().len(), 1024);
        assert_eq!(rotate_all(folder.path()).unwrap(), 1);
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        let aside = fs::read_to_string(place.join("i-1.log.1")).unwrap();
        let (said, kept) = aside.split_once('\n').unwrap();
        assert!(
            said.starts_with("pointsman: 1048576 bytes are left out"),
            "{said}"
        );
        assert_eq!(kept.len() as u64, FILE_BYTES_MAX);
        assert_eq!(rotate_all(folder.path()).unwrap(), 0);
        note(&path, "after");
        assert_eq!(reader.read().unwrap(), b"after\n");
    }
}
