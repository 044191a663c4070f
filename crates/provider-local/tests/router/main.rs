//! The router against real sockets: what passes, what is refused, and that nothing is lost.

mod comparing;
mod drain;
mod failures;
mod limits;
mod mirroring;
mod passing;
mod support;
