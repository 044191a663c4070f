//! The router against real sockets: what passes, what is refused, and that nothing is lost.

mod comparing;
mod counting;
mod drain;
mod failures;
mod http2;
mod large;
mod limits;
mod long;
mod mirroring;
mod passes;
mod passing;
mod sticky;
mod support;
