//! Shortages of this process and this machine, which say nothing about the instance that was being
//! looked at.

use std::io;

use rustix::io::Errno;

/// What the system answers when descriptors, buffers, ports or memory ran out here.
const OURS: [Errno; 6] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::ADDRNOTAVAIL,
    Errno::NOMEM,
    Errno::AGAIN,
];

/// Whether an error is a shortage of our own.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}
