//! Deployments: ask for one, rehearse one, read and command them.

mod views;

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    deployment::Command,
    governance::Wish,
    names::{DeploymentId, EnvironmentName, Place, ServiceName, Version},
    plan::{Strategy, scale_up::ScaleUp},
    release::ImageId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, limit, listing, tagged};
use crate::{
    extract::{InDesk, InJson, InMaybeJson, InPath, InQuery},
    problem::{ObjectionView, Problem, ProblemDocument},
    rows::Guarded,
};
use operations::deployments::{Listed, Planned, Rehearsal};

pub use views::{DeploymentView, FailureView, PreviewView, WaitingView};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(request, list))
        .routes(routes!(read))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(abort))
        .routes(routes!(roll_back))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(promote))
}

/// What to deploy, where, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The service.
    service: ServiceName,
    /// The environment.
    environment: EnvironmentName,
    /// The version of the release.
    version: Version,
    /// The strategy; a scale-up with its defaults if omitted.
    #[serde(default)]
    strategy: Option<Strategy>,
    /// Deploys even if the release is live already, and replaces its instances with new ones.
    #[serde(default)]
    force: bool,
    /// AWS: the machine image to run the package on. Left out: the image that is live, or else that
    /// of the server group.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    image: Option<ImageId>,
    /// The reason, for the audit log.
    #[serde(default)]
    #[schema(max_length = 1000, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$")]
    reason: Option<String>,
    /// Returns what the deployment would do, and starts nothing.
    #[serde(default)]
    dry_run: bool,
}

/// The reason for a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// In the person's own words.
    #[schema(
        max_length = 1000,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub reason: String,
}

/// The reason for a request, optional.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaybeReason {
    /// In the person's own words.
    #[schema(max_length = 1000, pattern = r"^[^\u0000-\u001F\u007F-\u009F]*$")]
    pub reason: Option<String>,
}

/// The plan that is approved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    /// The `plan_hash` of the deployment as it was read; without it, the current plan is approved.
    pub plan_hash: Option<String>,
}

impl MaybeReason {
    /// The reason, or another one when nobody gave any.
    pub(super) fn or(self, otherwise: &str) -> String {
        let given = self.reason.filter(|reason| !reason.trim().is_empty());
        given.unwrap_or_else(|| otherwise.to_owned())
    }
}

/// One deployment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct DeploymentPath {
    /// Id of the deployment.
    #[param(value_type = String)]
    pub(super) id: DeploymentId,
}

/// A deployment that was started, or is being rolled back.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeploymentBegun {
    /// The deployment.
    pub deployment: DeploymentView,
    /// What it is expected to do; null for one that is being rolled back.
    pub preview: Option<PreviewView>,
}

/// What a request would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeploymentRehearsed {
    /// What the deployment would do; null when governance refuses it.
    pub preview: Option<PreviewView>,
    /// Every objection of governance.
    pub objections: Vec<ObjectionView>,
}

/// Which deployments.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentsQuery {
    /// Only deployments of this service.
    #[param(value_type = ServiceName, required = false)]
    pub service: Option<ServiceName>,
    /// Only deployments in this environment.
    #[param(value_type = EnvironmentName, required = false)]
    pub environment: Option<EnvironmentName>,
    /// Only deployments that have not ended.
    pub unfinished: bool,
    /// Start of the page: `next` of the previous page.
    pub cursor: Option<String>,
    /// Maximum number of rows, 1 to 500; 50 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// Starts a deployment or, with `dry_run`, returns what it would do.
#[utoipa::path(
    post,
    operation_id = "create_deployment",
    path = "/api/v1/deployments",
    tag = "deployments",
    request_body = DeployRequest,
    responses(
        (status = 202, body = DeploymentBegun, description = "The deployment has started."),
        (status = 200, body = DeploymentRehearsed, description = "With `dry_run`: what the deployment would do."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Governance refuses the deployment; each objection has a remedy."),
    )
)]
pub(super) async fn request(
    InDesk(desk): InDesk,
    InJson(body): InJson<DeployRequest>,
) -> Result<Response, Problem> {
    let place = Place {
        service: body.service,
        environment: body.environment,
    };
    let usual = || Strategy::ScaleUp(ScaleUp::default());
    let wish = Wish {
        place,
        version: body.version,
        strategy: body.strategy.unwrap_or_else(usual),
        force: body.force,
        image: body.image,
    };
    if body.dry_run {
        let rehearsal = desk.rehearse(wish).await?;
        return Ok(Json(DeploymentRehearsed::from(rehearsal)).into_response());
    }
    let reason = body.reason.as_deref();
    let begun = desk.request(wish, reason, None);
    let begun = begun.await?;
    Ok((StatusCode::ACCEPTED, Json(DeploymentBegun::from(begun))).into_response())
}

/// Lists deployments, newest first.
#[utoipa::path(
    get,
    operation_id = "list_deployments",
    path = "/api/v1/deployments",
    tag = "deployments",
    params(DeploymentsQuery),
    responses((status = 200, body = Listing<DeploymentView>, description = "A page of deployments."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<DeploymentsQuery>,
) -> Result<Response, Problem> {
    let listed = Listed {
        service: query.service,
        environment: query.environment,
        unfinished: query.unfinished,
        ..Listed::default()
    };
    let before = query.cursor.map(DeploymentId);
    let limit = limit(query.limit)?;
    let page = desk.deployments(&listed, before.as_ref(), limit).await?;
    Ok(listing(&uri, page, DeploymentView::from))
}

/// Returns a deployment.
#[utoipa::path(
    get,
    operation_id = "get_deployment",
    path = "/api/v1/deployments/{id}",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "The deployment, with its ETag."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such deployment."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<DeploymentPath>,
) -> Result<Response, Problem> {
    let deployment = desk.deployment(&path.id).await?;
    Ok(tagged(deployment.version, DeploymentView::from(deployment)))
}

/// Pauses a deployment.
#[utoipa::path(
    post,
    operation_id = "pause_deployment",
    path = "/api/v1/deployments/{id}/pause",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "Paused."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn pause(desk: InDesk, path: InPath<DeploymentPath>) -> Result<Response, Problem> {
    command(desk, path, Command::Pause).await
}

/// Resumes a paused deployment.
#[utoipa::path(
    post,
    operation_id = "resume_deployment",
    path = "/api/v1/deployments/{id}/resume",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "Resumed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn resume(
    desk: InDesk,
    path: InPath<DeploymentPath>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Resume).await
}

/// Aborts a deployment: restores the stable release, and ends as aborted.
#[utoipa::path(
    post,
    operation_id = "abort_deployment",
    path = "/api/v1/deployments/{id}/abort",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Reason,
    responses(
        (status = 200, body = DeploymentView, description = "Rollback started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn abort(
    desk: InDesk,
    path: InPath<DeploymentPath>,
    InJson(Reason { reason }): InJson<Reason>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Abort { reason }).await
}

/// Rolls a deployment back: restores the stable release, and ends as rolled back.
#[utoipa::path(
    post,
    operation_id = "roll_back_deployment",
    path = "/api/v1/deployments/{id}/roll-back",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Option<MaybeReason>,
    responses(
        (status = 200, body = DeploymentView, description = "Rollback started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn roll_back(
    desk: InDesk,
    path: InPath<DeploymentPath>,
    InMaybeJson(body): InMaybeJson<MaybeReason>,
) -> Result<Response, Problem> {
    let reason = body.or("rolled back by a person");
    command(desk, path, Command::RollBack { reason }).await
}

/// Approves a deployment that waits for approval.
#[utoipa::path(
    post,
    operation_id = "approve_deployment",
    path = "/api/v1/deployments/{id}/approve",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Option<Approval>,
    responses(
        (status = 200, body = DeploymentView, description = "Approved."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "No approval is needed now, somebody else must approve (`not_by_requester`), or the plan has changed (`plan_changed`)."),
    )
)]
pub(super) async fn approve(
    InDesk(desk): InDesk,
    InPath(path): InPath<DeploymentPath>,
    InMaybeJson(body): InMaybeJson<Approval>,
) -> Result<Response, Problem> {
    let plan = body.plan_hash.as_deref();
    let deployment = desk.command(&path.id, Command::Approve, plan).await?;
    Ok(tagged(deployment.version, DeploymentView::from(deployment)))
}

/// Rejects a deployment that waits for approval; it ends as rolled back.
#[utoipa::path(
    post,
    operation_id = "reject_deployment",
    path = "/api/v1/deployments/{id}/reject",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Reason,
    responses(
        (status = 200, body = DeploymentView, description = "Rollback started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn reject(
    desk: InDesk,
    path: InPath<DeploymentPath>,
    InJson(Reason { reason }): InJson<Reason>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Reject { reason }).await
}

/// Ends the current bake early: its time and its gates count as passed. Approvals cannot be skipped.
#[utoipa::path(
    post,
    operation_id = "promote_deployment",
    path = "/api/v1/deployments/{id}/promote",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "The bake ended; the next step started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Not possible in the current state."),
    )
)]
pub(super) async fn promote(
    desk: InDesk,
    path: InPath<DeploymentPath>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Promote).await
}

async fn command(
    InDesk(desk): InDesk,
    InPath(path): InPath<DeploymentPath>,
    command: Command,
) -> Result<Response, Problem> {
    let deployment = desk.command(&path.id, command, None).await?;
    Ok(tagged(deployment.version, DeploymentView::from(deployment)))
}

impl From<Planned> for DeploymentBegun {
    fn from(begun: Planned) -> Self {
        Self {
            deployment: begun.deployment.into(),
            preview: Some(begun.preview.into()),
        }
    }
}

impl From<Rehearsal> for DeploymentRehearsed {
    fn from(rehearsal: Rehearsal) -> Self {
        Self {
            preview: rehearsal.planned.map(|it| it.preview.into()),
            objections: rehearsal
                .objections
                .iter()
                .map(ObjectionView::from)
                .collect(),
        }
    }
}
