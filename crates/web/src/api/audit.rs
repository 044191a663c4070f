//! The audit log: who did what, when and why.

use axum::{Json, extract::OriginalUri, response::Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::wire::{Listing, cursor, limit, listing, time};
use crate::{
    App,
    extract::{InDesk, InQuery},
    problem::Problem,
};
use operations::audit::{AuditEvent, Filter, Verification};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Routes without a limit of time or size of their own layer: they have their own.
pub(super) fn slow_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Which audit events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this action, such as `release.withdraw`.
    pub action: Option<String>,
    /// Only about this subject, such as `service/shop`.
    pub subject: Option<String>,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
    /// Most rows, 1 to 500; 50 when it is left out.
    pub limit: Option<u32>,
}

/// One audit event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub struct AuditEventView {
    /// Its place in the log, counted from 1 without gaps.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What, as `noun.verb`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// The rest.
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

/// What checking the whole log found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub struct VerificationView {
    /// Nobody changed it.
    pub intact: bool,
    /// How many events were checked and found in order.
    pub checked: i64,
    /// Sequence number of the first event that is not as it was written, or missing.
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

/// Audit events, newest first.
#[utoipa::path(
    get,
    operation_id = "list_audit_events",
    path = "/api/v1/audit-events",
    tag = "audit",
    params(AuditQuery),
    responses((status = 200, body = Listing<AuditEventView>, description = "One page."))
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
    };
    let limit = limit(query.limit)?;
    let page = desk.audit_events(filter, before, limit).await?;
    Ok(listing(&uri, page, AuditEventView::from))
}

/// Checks the chain of hashes of the whole audit log.
#[utoipa::path(
    get,
    operation_id = "verify_audit_events",
    path = "/api/v1/audit-events/verification",
    tag = "audit",
    responses((status = 200, body = VerificationView, description = "What was found."))
)]
pub(super) async fn verify(InDesk(desk): InDesk) -> Result<Json<VerificationView>, Problem> {
    Ok(Json(desk.verify_audit().await?.into()))
}
