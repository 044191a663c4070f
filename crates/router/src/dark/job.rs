//! A user's request on its way to the thread that sends copies.

use std::sync::Arc;

use bytes::Bytes;

use crate::dark::{
    compare::Answer,
    mirror::{Mirroring, Place},
};

/// A request to be copied.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) mirroring: Arc<Mirroring>,
    /// The route, in the words of the table.
    pub(crate) key: String,
    pub(crate) to_send: ToSend,
    /// What the user got, when it is to be compared.
    pub(crate) users: Option<Answer>,
    pub(crate) _place: Place,
}

/// A copy as it goes over the wire.
#[derive(Debug)]
pub(crate) struct ToSend {
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
    /// It is a HEAD.
    pub(crate) to_head: bool,
    /// It may be sent again when an idle connection turns out to be closed.
    pub(crate) repeatable: bool,
}
