//! Brings deployments about: one loop of observe, decide, apply, save.
//!
//! Invariant: the engine knows time and the order of things, not the world. SQL, HTTP, AWS and
//! processes are behind the ports; clocks and randomness come in through them as well.

#![warn(missing_docs)]

pub mod ports;
