//! Reading the audit log, and checking its chain.

use domain::{
    access::{Resource, Right},
    catalogue::Kind,
    time::UnixMs,
};
use serde_json::Value;
use store::audit as stored;

use super::{Desk, Error, Page, manifests};

/// One event of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Its place in the log, counted from 1 without gaps.
    pub seq: i64,
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
    /// The hash of the event before it.
    pub previous_hash: String,
    /// SHA-256 over its content and the hash of the event before it, in hexadecimal.
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
    /// Only from the first event at or after this time on.
    pub from: Option<UnixMs>,
    /// Only before the first event at or after this time.
    pub until: Option<UnixMs>,
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
    /// The hash of the last good event.
    pub head: String,
}

impl Desk {
    /// Audit events, newest first, with sequence numbers below `before`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn audit_events(
        &self,
        filter: Filter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<AuditEvent>, Error> {
        let permit = self.may(Right::ViewAudit, Resource::Everything).await?;
        let fetch = Page::<AuditEvent>::fetch(limit);
        let filter = stored::Filter {
            actor: filter.actor,
            action: filter.action,
            subject: filter.subject,
            from: filter.from,
            until: filter.until,
        };
        let events = permit.store().audit_events(before, fetch, &filter).await?;
        let events = events.into_iter().map(AuditEvent::of).collect();
        Ok(Page::of(events, limit, |event: &AuditEvent| {
            event.seq.to_string()
        }))
    }

    /// What was done to an entry of the catalogue, newest first, with sequence numbers below `before`. Who may
    /// see the entry may see how it came to be so.
    ///
    /// # Errors
    /// [`Error::Unknown`] entry.
    pub async fn history(
        &self,
        (kind, name): (Kind, &str),
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<AuditEvent>, Error> {
        let permit = self.may_entry(Right::View, kind, name).await?;
        let fetch = Page::<AuditEvent>::fetch(limit);
        let filter = stored::Filter {
            subject: Some(manifests::subject(kind, name)),
            ..stored::Filter::default()
        };
        let events = permit.store().audit_events(before, fetch, &filter).await?;
        let events = events.into_iter().map(AuditEvent::of).collect();
        Ok(Page::of(events, limit, |event: &AuditEvent| {
            event.seq.to_string()
        }))
    }

    /// Checks the whole audit log, and that it still goes through the event `kept`: its sequence number
    /// and its hash.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn verify_audit(&self, kept: Option<(i64, String)>) -> Result<Verification, Error> {
        let permit = self.may(Right::ViewAudit, Resource::Everything).await?;
        let found = permit.store().verify_since(kept.as_ref()).await?;
        Ok(Verification {
            checked: found.checked,
            first_broken: found.first_broken,
            why: found.why,
            head: found.head,
        })
    }
}

impl AuditEvent {
    fn of(event: stored::AuditEvent) -> Self {
        Self {
            seq: event.seq,
            actor: event.actor,
            action: event.action,
            subject: event.subject,
            detail: event.detail,
            at: event.at,
            previous_hash: event.previous_hash,
            hash: event.hash,
        }
    }
}
