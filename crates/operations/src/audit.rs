//! Reading the audit log, and checking its chain.

use super::{Error, Operations, Page};

pub use store::audit::{AuditEvent, Filter, Verification};

impl Operations {
    /// Audit events, newest first, with sequence numbers below `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit_events(
        &self,
        filter: &Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<AuditEvent>, Error> {
        let fetch = Page::<AuditEvent>::fetch(limit);
        let events = self.store().audit_events(before, fetch, filter).await?;
        Ok(Page::of(events, limit, |event| event.seq.to_string()))
    }

    /// Checks the whole audit log.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn verify_audit(&self) -> Result<Verification, Error> {
        Ok(self.store().verify().await?)
    }
}
