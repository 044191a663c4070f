//! The one-machine cloud: groups of real processes behind a real router, on this machine.
//!
//! - [`cloud`] is what the control plane uses, and [`client`] its way to the daemon: a Unix socket.
//! - [`daemon`] is the process on the other side; it outlives the control plane.
//! - [`group`] is what it decides, as pure functions.
//! - [`router`] carries the users, and [`pass`] lets testers in.
//!
//! Invariant: the daemon knows groups, sizes and launches; of deployments it knows only the token of
//! the last request.

pub mod artifact;
pub mod client;
pub mod cloud;
pub mod daemon;
pub mod group;
pub mod logs;
pub mod pass;
mod process;
pub mod router;
pub mod wire;
