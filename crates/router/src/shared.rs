//! What all threads of the router share.

use std::sync::{Arc, OnceLock, Weak};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::{config::Limits, counters::Refused, passes::Passes, table::Table, worker::Worker};

/// A table and its number; later tables have higher numbers.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) table: Table,
    /// Whether any of its routes has a mirror.
    pub(crate) has_mirrors: bool,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) published: ArcSwap<Published>,
    /// Counts the answers that no instance gave.
    pub(crate) refused: Refused,
    pub(crate) passes: Passes,
    pub(crate) limits: Limits,
    /// The places for users' connections that are left.
    pub(crate) connections: Arc<Semaphore>,
    /// Every thread.
    pub(crate) workers: OnceLock<Vec<Weak<Worker>>>,
}
