//! Answers that are kept for a day, so that a repeated POST gets the first one's answer.

use domain::time::UnixMs;

use crate::{Store, StoreError};

/// How long an answer is kept, in milliseconds.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Largest body that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Hash of the request, so that a key used for another request is found out.
    pub request_hash: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Store {
    /// The answer kept for this actor's key, unless it expired.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn idempotent(
        &self,
        actor: &str,
        key: &str,
        now: UnixMs,
    ) -> Result<Option<Kept>, StoreError> {
        todo!("{actor} {key} {now}")
    }

    /// Keeps an answer for [`KEPT_MS`]. When another request with this key was faster, its answer
    /// stays and is returned.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Invalid`], or when the database fails.
    pub async fn keep(
        &self,
        actor: &str,
        key: &str,
        kept: Kept,
        now: UnixMs,
    ) -> Result<Kept, StoreError> {
        todo!("{actor} {key} {kept:?} {now}")
    }
}
