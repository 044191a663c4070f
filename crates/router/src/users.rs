//! The users' side: from the listener of a thread to the body of an answer.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod refusal;
pub(crate) mod tunnel;
