//! Keeps what a server or the cloud has from those whom it starts: releases are run by the same user,
//! and must not read its memory, its environment or its files.

use std::io;

use rustix::process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior};

/// Shuts this process off from the programs that it starts: they get no descriptor that it inherited,
/// and the system shows them neither its memory nor its environment. Call this before anything is
/// started.
///
/// # Errors
/// When the system refuses.
pub fn shut() -> io::Result<()> {
    close_fds::set_fds_cloexec(3, &[]);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Makes this process the parent of whatever its children leave behind, so that it can be found.
///
/// # Errors
/// When the system refuses.
pub(crate) fn adopt_what_is_left() -> io::Result<()> {
    set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn memory_and_environment_are_shut_off() {
        shut().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
