//! The router as a process of its own, and how the daemon steers it.
//!
//! ```text
//! daemon: table, version --> Link --> Unix socket --> process: Seat --> router
//!         counts, requests in flight <-- the same socket <--
//! ```
//!
//! Users depend on this process and on nothing else: the daemon may end, crash and be replaced
//! meanwhile. The socket that users reach is made by the daemon, kept by both, and given to the next
//! router: while there is none, users wait in its queue.
//!
//! Invariants:
//! - a router answers nobody before it has a table;
//! - a router that is replaced answers what it was asked, and its counts go to its successor;
//! - there is one router that accepts; those that leave get the same tables.

mod counted;
mod frames;
pub(crate) mod link;
mod mirrors;
mod peer;
mod process;
mod seat;
pub(crate) mod wire;

pub use process::{RouterError, run};
