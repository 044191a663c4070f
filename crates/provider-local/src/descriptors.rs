//! How many files a process may have open.

use std::{io, num::NonZeroUsize, thread};

use router::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Where the system names no limit.
const PLENTY: u64 = 1 << 20;

/// Raises the soft limit of this process's open files to the hard one, and returns it. The soft limit
/// is 1,024 on most systems, for the sake of old programs.
///
/// # Errors
/// The system refuses.
pub fn raise() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(PLENTY))
}

/// The router's limits, for a process with so many descriptors.
pub(crate) fn limits(descriptors: u64) -> Limits {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Limits::within(descriptors, threads)
}
