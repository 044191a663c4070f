//! The audit log: append-only, and chained by hashes so that changes are found.

use domain::time::UnixMs;
use serde_json::Value;

use crate::{Store, StoreError};

/// Largest detail of an audit event, in bytes of JSON.
pub const DETAIL_BYTES_MAX: usize = 256 * 1024;

/// Who does what to what: given with every mutation.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Who.
    pub actor: String,
    /// What, as `noun.verb`, such as `release.withdraw`.
    pub action: String,
    /// To what, such as `service/shop`.
    pub subject: String,
    /// The rest, for people and programs.
    pub detail: Value,
    /// When.
    pub at: UnixMs,
}

/// One stored audit event.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Its place in the log, counted from 1 without gaps.
    pub seq: i64,
    /// Who did what.
    pub audit: Audit,
    /// The hash of the event before it.
    pub previous_hash: String,
    /// SHA-256 over its content and `previous_hash`, in hexadecimal.
    pub hash: String,
}

/// Which audit events are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only about this subject.
    pub subject: Option<String>,
}

/// What checking the whole log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many events were checked and found in order.
    pub checked: i64,
    /// Sequence number of the first event that is not as it was written, or missing.
    pub first_broken: Option<i64>,
    /// What is wrong there, for people.
    pub why: Option<String>,
    /// The hash of the last good event. Kept elsewhere, it proves later that nothing up to
    /// `checked` was rewritten.
    pub head: String,
}

impl Store {
    /// Audit events, newest first, with sequence numbers below `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_events(
        &self,
        before: Option<i64>,
        limit: u32,
        filter: &Filter,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        todo!("{before:?} {limit} {filter:?}")
    }

    /// Checks the whole log, page by page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        todo!()
    }
}
