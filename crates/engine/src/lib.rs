//! Brings deployments about: one loop of observe, decide, apply, save.
//!
//! - [`turn`] is the loop's body, and the file to read first.
//! - [`runner`] claims deployments and takes turns with each.
//! - [`ports`] is what both ask of the world; the adapters implement it.
//! - `testing` (feature `testing`) is a world in memory with virtual time and every fault we could
//!   think of, and the contract suites that adapters and simulation alike must pass.
//!
//! Invariant: the engine knows time and the order of things, not the world. SQL, HTTP, AWS and
//! processes are behind the ports; clocks and randomness come in through them as well.

mod lease;
pub mod ports;
pub mod runner;
pub mod stopwatch;
pub mod turn;

#[cfg(feature = "testing")]
pub mod testing;
