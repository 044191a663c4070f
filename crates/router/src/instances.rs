//! The instances' side: who they are, connections to them, and one request on a connection.

pub(crate) mod backend;
pub(crate) mod exchange;
pub(crate) mod upstream;
