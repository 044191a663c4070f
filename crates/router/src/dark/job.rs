//! A user's request on its way to the thread that sends copies.

use std::sync::Arc;

use bytes::Bytes;

use crate::dark::{
    compare::ComparedParts,
    mirror::{Mirroring, Place},
};

/// A request to be copied.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) mirroring: Arc<Mirroring>,
    /// The key of its route in the table.
    pub(crate) key: String,
    pub(crate) to_send: ToSend,
    /// The user's answer, when answers are compared.
    pub(crate) users: Option<ComparedParts>,
    pub(crate) _place: Place,
}

/// The bytes of a copy, and how to send them.
#[derive(Debug)]
pub(crate) struct ToSend {
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    /// Whether it is a HEAD.
    pub(crate) to_head: bool,
    /// Whether it may be sent again when an idle connection turns out to be closed.
    pub(crate) repeatable: bool,
}
