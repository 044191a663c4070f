//! The audit log: who did what, when and why.

use axum::{Json, extract::OriginalUri, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, Paging, cursor, limit, listing, time};
use crate::{
    extract::{InDesk, InQuery},
    problem::Problem,
    rows::Guarded,
};
use domain::time::UnixMs;
use operations::{
    audit::{AuditEvent, Filter, Verification},
    refusals::Refused,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(list))
        .routes(routes!(refused))
}

/// Routes without a limit of time or size of their own layer: they have their own.
pub(super) fn slow_routes() -> Guarded {
    Guarded::new().routes(routes!(verify))
}

/// Which audit events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only events of this actor.
    pub actor: Option<String>,
    /// Only events of this action, such as `release.withdraw`.
    pub action: Option<String>,
    /// Only events about this subject, such as `service/shop`.
    pub subject: Option<String>,
    /// Start of the page: `next` of the previous page.
    pub cursor: Option<String>,
    /// Maximum number of rows, 1 to 500; 50 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// An audit event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct AuditEventView {
    /// Its place in the log, counted from 1 without gaps.
    pub seq: i64,
    /// Time of the event, RFC 3339.
    pub at: String,
    /// Who did it.
    pub actor: String,
    /// What was done, as `noun.verb`.
    pub action: String,
    /// What it was done to, such as `service/shop`.
    pub subject: String,
    /// More about the event, depending on the action.
    pub detail: Value,
    /// The hash of the event before it.
    pub previous_hash: String,
    /// SHA-256 over its content and `previous_hash`.
    pub hash: String,
}

impl From<AuditEvent> for AuditEventView {
    fn from(event: AuditEvent) -> Self {
        Self {
            seq: event.seq,
            at: time(event.at),
            actor: event.actor,
            action: event.action,
            subject: event.subject,
            detail: event.detail,
            previous_hash: event.previous_hash,
            hash: event.hash,
        }
    }
}

/// What the audit log is compared with.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// The sequence number and the hash of an event that was kept elsewhere, as `SEQ:HASH`.
    #[param(pattern = "^[1-9][0-9]*:[0-9A-Fa-f]{64}$")]
    since: Option<String>,
}

/// The result of verifying the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub struct VerificationView {
    /// Whether the log is as it was written.
    pub intact: bool,
    /// Number of events that were verified.
    pub checked: i64,
    /// Sequence number of the first event that was changed or is missing.
    pub first_broken: Option<i64>,
    /// What is wrong there.
    pub why: Option<String>,
    /// The hash of the last good event. Kept elsewhere, it proves later that nothing up to
    /// `checked` was rewritten.
    pub head: String,
}

impl From<Verification> for VerificationView {
    fn from(verification: Verification) -> Self {
        Self {
            intact: verification.first_broken.is_none(),
            checked: verification.checked,
            first_broken: verification.first_broken,
            why: verification.why,
            head: verification.head,
        }
    }
}

/// Lists audit events, newest first.
#[utoipa::path(
    get,
    operation_id = "list_audit_events",
    path = "/api/v1/audit-events",
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, body = Listing<AuditEventView>, description = "A page of audit events."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<AuditQuery>,
) -> Result<Response, Problem> {
    let before = cursor(query.cursor.as_deref())?;
    let filter = Filter {
        actor: query.actor,
        action: query.action,
        subject: query.subject,
        ..Filter::default()
    };
    let limit = limit(query.limit)?;
    let page = desk.audit_events(filter, before, limit).await?;
    Ok(listing(&uri, page, AuditEventView::from))
}

/// Verifies the hash chain of the whole audit log.
#[utoipa::path(
    get,
    operation_id = "verify_audit_events",
    path = "/api/v1/audit-events/verification",
    tag = "audit",
    params(VerifyQuery),
    responses((status = 200, body = VerificationView, description = "The result."))
)]
pub(super) async fn verify(
    InDesk(desk): InDesk,
    InQuery(query): InQuery<VerifyQuery>,
) -> Result<Json<VerificationView>, Problem> {
    let kept = query.since.as_deref().map(kept).transpose()?;
    Ok(Json(desk.verify_audit(kept).await?.into()))
}

/// Reads `SEQ:HASH`.
fn kept(text: &str) -> Result<(i64, String), Problem> {
    let parts = text.split_once(':');
    let parts = parts.and_then(|(seq, hash)| Some((seq.parse::<i64>().ok()?, hash)));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    match parts {
        Some((seq, hash)) if seq > 0 && is_hash(hash) => Ok((seq, hash.to_ascii_lowercase())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_query",
            "`since` is not the sequence number and the hash of an event",
        )
        .remedy("write SEQ:HASH, as `pointsman audit head` prints it")),
    }
}

/// Attempts of one kind that were refused, by one, from one address, within an hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedAttempts)]
pub struct RefusedView {
    /// What was tried, such as `sign_in` or `denied:deploy`; `(others)` where there were too many kinds.
    pub what: String,
    /// Who tried it, as they said.
    pub who: String,
    /// From where: the address, or its first 64 bits.
    pub address: String,
    /// How often.
    pub times: i64,
    /// When for the first time, RFC 3339.
    pub first_at: String,
    /// When for the last time, RFC 3339.
    pub last_at: String,
}

impl From<Refused> for RefusedView {
    fn from(refused: Refused) -> Self {
        Self {
            what: refused.what,
            who: refused.who,
            address: refused.address,
            times: refused.times,
            first_at: time(refused.first_at),
            last_at: time(refused.last_at),
        }
    }
}

/// Lists attempts that were refused, newest hour first.
#[utoipa::path(
    get,
    operation_id = "list_refused_attempts",
    path = "/api/v1/refused-attempts",
    tag = "audit",
    params(Paging),
    responses((status = 200, body = Listing<RefusedView>, description = "A page, by hour."))
)]
pub(super) async fn refused(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<Paging>,
) -> Result<Response, Problem> {
    let before: Option<i64> = cursor(query.cursor.as_deref())?;
    let page = desk.refused_attempts(before.map(UnixMs), limit(query.limit)?);
    Ok(listing(&uri, page.await?, RefusedView::from))
}
