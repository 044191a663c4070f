//! The one-machine cloud: groups of real processes behind a real router, on this machine.
//!
//! - [`cloud`] is what the control plane uses, and [`client`] its way to the daemon: a Unix socket.
//! - [`daemon`] is the process on the other side; it outlives the control plane.
//! - [`routing`] is the router, a process that outlives both, and the way to it.
//! - [`group`] is what it decides, as pure functions.
//!
//! The crate [`router`] carries the users, and lets testers in.
//!
//! Invariant: the daemon knows groups, sizes and launches; of deployments it knows only the token
//! of the last request.

pub mod artifact;
pub mod client;
mod clock;
pub mod cloud;
pub mod daemon;
pub mod descriptors;
mod family;
pub mod group;
pub mod guard;
mod key;
pub mod launch;
pub mod logs;
mod process;
mod program;
pub mod routing;
mod shortage;
mod sockets;
pub mod users;
pub mod wire;
