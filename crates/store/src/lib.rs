//! The durable memory: catalogue, releases, deployments, locks, audit log, on SQLite or PostgreSQL.
//!
//! ```text
//! operations --> Store --> catalogue  locks  releases  deployments  audit  idempotency
//! engine ------> Journal --> journal ----------------------^
//!                              `--> pool (Writer, snapshot) --> dialect --> SQLite | PostgreSQL
//! ```
//!
//! Invariant: one SQL text for both databases; what truly differs is in `dialect.rs`.
//! Invariant: a mutation and its audit event are one transaction.
//! Invariant: nothing is kept that is larger than the limits named here and in the modules.

#![warn(missing_docs)]

pub mod audit;
pub mod catalogue;
pub mod deployments;
mod error;
pub mod idempotency;
mod journal;
pub mod locks;
pub mod releases;

pub use audit::Audit;
pub use error::{Referrer, StoreError};

/// Most rows that one call returns; larger limits are lowered to it.
pub const PAGE_MAX: u32 = 500;

/// The durable memory of one control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {}

impl Store {
    /// Opens the database, and brings its schema up to date. Several replicas may do so at once.
    ///
    /// `url` is `sqlite:PATH`, `sqlite::memory:` (one connection, gone with the `Store`) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`. See [`sqlite_url`] for paths with odd characters.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::TooNew`], [`StoreError::MigrationChanged`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        todo!("{url}")
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Finishes what is under way and closes all connections.
    pub async fn close(&self) {
        todo!()
    }
}

/// The URL of a SQLite database in a file, for any path.
#[must_use]
pub fn sqlite_url(path: &std::path::Path) -> String {
    todo!("{}", path.display())
}
