//! The audit log: append-only, and chained by hashes so that changes are found.
//!
//! The hash of an event is the SHA-256, in hexadecimal, of the compact JSON array
//! `[previous_hash, seq, at, actor, action, subject, detail]` with `detail` as the text that is
//! stored. The first event's `previous_hash` is 64 zeros.
//!
//! What checking the chain finds: an event that was edited, removed, inserted or moved, and a log
//! that was cut short while `audit_tail` was left alone. What it cannot find: somebody who may
//! write to the database, rewrites the end of the log, computes all its hashes anew *and* sets
//! `audit_tail`. Against that a copy of [`Verification::head`] elsewhere helps, with `verify_since`.

mod times;

use domain::{
    access::{Allowed, PersonName},
    release::Digest,
    time::UnixMs,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    PAGE_MAX, Store, StoreError,
    query::Select,
    values::{Doing, check_text, json, page, parse},
};

/// Largest detail of an audit event, in bytes of JSON.
pub const DETAIL_BYTES_MAX: usize = 256 * 1024;
/// Longest actor, action or subject, in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

/// Who does what to what: given with every mutation. It is made from a permission, so that nothing is
/// changed unchecked:
///
/// ```
/// # use domain::{access::Allowed, time::UnixMs};
/// fn checked(allowed: &Allowed) -> store::Audit {
///     store::Audit::of(allowed, "service.delete", "service/shop", ().into(), UnixMs(0))
/// }
/// ```
///
/// Without one, no mutation compiles:
///
/// ```compile_fail,E0308
/// # use domain::{access::Principal, time::UnixMs};
/// fn unchecked(principal: &Principal) -> store::Audit {
///     store::Audit::of(principal, "service.delete", "service/shop", ().into(), UnixMs(0))
/// }
/// ```
///
/// ```compile_fail,E0061
/// # async fn unaudited(store: &store::Store, environment: &domain::names::EnvironmentName) {
/// let _ = store.unlock(environment).await;
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    actor: String,
    action: String,
    subject: String,
    detail: Value,
    at: UnixMs,
}

impl Audit {
    /// `action` (as `noun.verb`, such as `release.withdraw`) on `subject` (such as `service/shop`) by
    /// the principal who is allowed to do it, at the time `at`. `detail` is the rest, for people and
    /// programs.
    #[must_use]
    pub fn of(allowed: &Allowed, action: &str, subject: &str, detail: Value, at: UnixMs) -> Self {
        Self {
            actor: allowed.principal().name().to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail,
            at,
        }
    }

    /// What a principal does with what is theirs alone, such as their sessions.
    pub(crate) fn own(who: &PersonName, action: &str, detail: Value, at: UnixMs) -> Self {
        Self {
            actor: who.to_string(),
            action: action.to_owned(),
            subject: format!("person/{who}"),
            detail,
            at,
        }
    }

    /// The same, about something else.
    pub(crate) fn about(mut self, subject: String) -> Self {
        self.subject = subject;
        self
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn at(&self) -> UnixMs {
        self.at
    }

    /// What Pointsman itself does, in nobody's name.
    pub(crate) fn of_pointsman(action: &str, subject: String, detail: Value, at: UnixMs) -> Self {
        Self {
            actor: "pointsman".to_owned(),
            action: action.to_owned(),
            subject,
            detail,
            at,
        }
    }
}

/// One stored audit event.
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
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let (before, from) = times::bounds(&mut connection, before, filter).await?;
        let mut select = Select::new("select * from audit_events where seq <");
        select
            .bind(before)
            .when("and seq >=", from)
            .when("and actor =", filter.actor.as_deref())
            .when("and action =", filter.action.as_deref())
            .when("and subject =", filter.subject.as_deref())
            .push("order by seq desc limit")
            .bind(page(limit));
        let rows = select.all(&mut connection, READING).await?;
        rows.iter()
            .map(|row| Stored::of(row).doing(READING)?.into_event())
            .collect()
    }

    /// Appends an event about something that the store itself does not hold.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note(&self, audit: Audit) -> Result<(), StoreError> {
        self.audited().await?.commit(&[audit]).await
    }

    /// Checks the whole log, page by page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        self.verify_since(None).await
    }

    /// Checks the whole log, and that it still goes through the event `kept`: its sequence number and
    /// its hash, as [`Verification::head`] said once. That finds a log which was cut short, or written
    /// anew with all its hashes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verify_since(
        &self,
        kept: Option<&(i64, String)>,
    ) -> Result<Verification, StoreError> {
        let mut head = Head::start();
        loop {
            // Tail and page are of one moment; between pages the log may grow.
            let mut moment = self.snapshot().await?;
            let tail = Head::of_tail(&mut moment).await?;
            let after = if head.seq == 0 { i64::MIN } else { head.seq };
            let events = Stored::after(&mut moment, after).await?;
            let finished = events.is_empty();
            for event in events {
                match head.next(&event) {
                    Ok(next) if next.is_not(kept) => {
                        return Ok(head.broken("it is not the event that was kept"));
                    }
                    Ok(next) => head = next,
                    Err(why) => return Ok(head.broken(why)),
                }
            }
            if finished && kept.is_some_and(|(seq, _)| *seq > head.seq) {
                return Ok(head.broken("the log was cut short here: it ends before what was kept"));
            }
            if finished {
                return Ok(head.compare(&tail));
            }
        }
    }
}

const READING: &str = "reading the audit log";
const APPENDING: &str = "appending to the audit log";

/// Appends an event. Only for serialised transactions: nobody else may append meanwhile.
pub(crate) async fn append(
    connection: &mut AnyConnection,
    audit: &Audit,
) -> Result<(), StoreError> {
    check_text("audit actor", &audit.actor, TEXT_BYTES_MAX)?;
    check_text("audit action", &audit.action, TEXT_BYTES_MAX)?;
    check_text("audit subject", &audit.subject, TEXT_BYTES_MAX)?;
    let tail = Head::of_tail(connection).await?;
    let mut event = Stored {
        seq: tail.seq + 1,
        at: audit.at.0,
        actor: audit.actor.clone(),
        action: audit.action.clone(),
        subject: audit.subject.clone(),
        detail: json("audit detail", &audit.detail, DETAIL_BYTES_MAX)?,
        previous_hash: tail.hash,
        hash: String::new(),
    };
    event.hash = event.computed_hash();
    event.insert(connection).await
}

/// A row of the log, as it is.
struct Stored {
    seq: i64,
    at: i64,
    actor: String,
    action: String,
    subject: String,
    detail: String,
    previous_hash: String,
    hash: String,
}

impl Stored {
    fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            at: row.try_get("at")?,
            actor: row.try_get("actor")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            detail: row.try_get("detail")?,
            previous_hash: row.try_get("previous_hash")?,
            hash: row.try_get("hash")?,
        })
    }

    /// A page of the log.
    async fn after(connection: &mut AnyConnection, seq: i64) -> Result<Vec<Self>, StoreError> {
        let query = "select * from audit_events where seq > $1 order by seq limit $2";
        let rows = sqlx::query(query)
            .bind(seq)
            .bind(i64::from(PAGE_MAX))
            .fetch_all(connection)
            .await
            .doing(READING)?;
        rows.iter()
            .map(Self::of)
            .collect::<Result<_, _>>()
            .doing(READING)
    }

    /// What the hash must be.
    fn computed_hash(&self) -> String {
        let content = serde_json::json!([
            self.previous_hash,
            self.seq,
            self.at,
            self.actor,
            self.action,
            self.subject,
            self.detail
        ]);
        Digest::from_bytes(Sha256::digest(content.to_string()).into()).into()
    }

    async fn insert(self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let insert = "insert into audit_events
            (seq, at, actor, action, subject, detail, previous_hash, hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(insert)
            .bind(self.seq)
            .bind(self.at)
            .bind(self.actor)
            .bind(self.action)
            .bind(self.subject)
            .bind(self.detail)
            .bind(self.previous_hash)
            .bind(self.hash.clone())
            .execute(&mut *connection)
            .await
            .doing(APPENDING)?;
        sqlx::query("update audit_tail set seq = $1, hash = $2 where id = 1")
            .bind(self.seq)
            .bind(self.hash)
            .execute(connection)
            .await
            .doing(APPENDING)?;
        Ok(())
    }

    fn into_event(self) -> Result<AuditEvent, StoreError> {
        let detail = parse(|| format!("audit event {}", self.seq), &self.detail)?;
        Ok(AuditEvent {
            seq: self.seq,
            actor: self.actor,
            action: self.action,
            subject: self.subject,
            detail,
            at: UnixMs(self.at),
            previous_hash: self.previous_hash,
            hash: self.hash,
        })
    }
}

/// How far the chain was followed.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    seq: i64,
    hash: String,
}

impl Head {
    /// Before the first event.
    fn start() -> Self {
        Self {
            seq: 0,
            hash: "0".repeat(64),
        }
    }

    /// What the last event is said to be.
    async fn of_tail(connection: &mut AnyConnection) -> Result<Self, StoreError> {
        let row = sqlx::query("select seq, hash from audit_tail where id = 1")
            .fetch_optional(connection)
            .await
            .doing(READING)?;
        let row = row.ok_or_else(|| StoreError::Corrupt {
            what: "end of the audit log".to_owned(),
            why: "the table audit_tail is empty".to_owned(),
        })?;
        Ok(Self {
            seq: row.try_get("seq").doing(READING)?,
            hash: row.try_get("hash").doing(READING)?,
        })
    }

    /// Follows the chain to `event`, or says what is wrong with it.
    fn next(&self, event: &Stored) -> Result<Self, &'static str> {
        if event.seq != self.seq + 1 {
            return Err("the event is missing, and another one stands in its place");
        }
        if event.previous_hash != self.hash {
            return Err("the event does not follow the one before it");
        }
        if event.hash != event.computed_hash() {
            return Err("the event is not as it was written");
        }
        Ok(Self {
            seq: event.seq,
            hash: event.hash.clone(),
        })
    }

    /// It has the sequence number of what was kept, and another hash.
    fn is_not(&self, kept: Option<&(i64, String)>) -> bool {
        kept.is_some_and(|(seq, hash)| *seq == self.seq && *hash != self.hash)
    }

    /// The end of the chain must be the end that was noted.
    fn compare(self, tail: &Self) -> Verification {
        if self == *tail {
            self.verification(None, None)
        } else if self.seq < tail.seq {
            self.broken("the log was cut short here")
        } else {
            self.broken("the log goes on after what was noted as its end")
        }
    }

    fn broken(self, why: &str) -> Verification {
        let first_broken = Some(self.seq + 1);
        self.verification(first_broken, Some(why.to_owned()))
    }

    fn verification(self, first_broken: Option<i64>, why: Option<String>) -> Verification {
        Verification {
            checked: self.seq,
            first_broken,
            why,
            head: self.hash,
        }
    }
}
