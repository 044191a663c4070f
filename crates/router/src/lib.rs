//! The HTTP router of the one-machine cloud. It sends each request for
//! `http://{service}.{environment}.localhost:PORT` to an instance of the service: by weight, by a
//! sticky user's point, or by a tester's pass.
//!
//! One thread per core, each with its own single-threaded runtime, which accept from one socket. The users' side is hyper (HTTP/1.1 and HTTP/2); the instances' side is a small HTTP/1.1
//! client of our own, driven by the task of the user's connection.
//!
//! How to remove an instance without losing a request: [`Backend::start_draining`],
//! [`Router::publish`] a table without it, wait until [`Backend::in_flight`] is 0, stop it.
//!
//! Invariant: a request goes to an instance of the table that was the newest when the instance was
//! chosen.
//! Invariant: connections, headers, buffers, idle connections, attempts and waits are bounded.
//!
//! `README.md` says where to begin reading, and which rules of HTTP are kept where.

mod choice;
mod config;
mod counters;
mod dark;
mod fault;
mod forward;
mod instances;
mod listener;
mod message;
pub mod pass;
mod passes;
mod router;
mod shared;
mod sticky;
mod table;
mod tally;
mod users;
mod worker;

pub use config::{Limits, PassCheck, RouterConfig};
pub use counters::{CLASSES, Counters, Counts};
pub use dark::mirror::{Mirroring, SHADOW};
pub use instances::backend::Backend;
pub use listener::listen;
pub use router::Router;
pub use sticky::Sticky;
pub use table::{Route, SliceRoute, Table};
pub use tally::UserTally;
