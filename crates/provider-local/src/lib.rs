//! The one-machine cloud: real processes on this machine behind a real router.

pub mod router;
