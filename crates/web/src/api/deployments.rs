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
use utoipa_axum::{router::OpenApiRouter, routes};

use super::wire::{Listing, limit, listing, tagged};
use crate::{
    App,
    extract::{InDesk, InJson, InMaybeJson, InPath, InQuery},
    problem::{ObjectionView, Problem, ProblemDocument},
};
use operations::deployments::{Begun, Listed, Rehearsal};

pub use views::{DeploymentView, FailureView, PreviewView, WaitingView};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
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
    #[schema(value_type = String)]
    service: ServiceName,
    /// The environment.
    #[schema(value_type = String)]
    environment: EnvironmentName,
    /// The release.
    #[schema(value_type = String)]
    version: Version,
    /// How; scale-up with its usual numbers when it is left out.
    #[serde(default)]
    strategy: Option<Strategy>,
    /// Also when the release is live already: replace its instances by fresh ones.
    #[serde(default)]
    force: bool,
    /// On AWS: start the package on this machine image. Left out: on the one that is live, or else
    /// that of the server group.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    image: Option<ImageId>,
    /// Why, for those who read the audit log.
    #[serde(default)]
    reason: Option<String>,
    /// Only say what would become of it.
    #[serde(default)]
    dry_run: bool,
}

/// Why somebody does something.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// In their words.
    pub reason: String,
}

/// Why somebody does something, if they say so.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MaybeReason {
    /// In their words.
    pub reason: Option<String>,
}

/// Which plan is approved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    /// `plan_hash` of the deployment as it was read; without it, the present plan is approved.
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
    /// Its id.
    #[param(value_type = String)]
    pub(super) id: DeploymentId,
}

/// A deployment that began (or turns round).
#[derive(Debug, Serialize, ToSchema)]
pub struct DeploymentBegun {
    /// The deployment.
    pub deployment: DeploymentView,
    /// What it is expected to do; null for one that turns round.
    pub preview: Option<PreviewView>,
}

/// What would become of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeploymentRehearsed {
    /// What the deployment would do; null when governance says no.
    pub preview: Option<PreviewView>,
    /// Every reason why governance says no.
    pub objections: Vec<ObjectionView>,
}

/// Which deployments.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentsQuery {
    /// Only of this service.
    #[param(value_type = Option<String>)]
    pub service: Option<ServiceName>,
    /// Only in this environment.
    #[param(value_type = Option<String>)]
    pub environment: Option<EnvironmentName>,
    /// Only those that have not ended.
    pub unfinished: bool,
    /// Where the page begins: `next` of the page before.
    pub cursor: Option<String>,
    /// Most rows, 1 to 500; 50 when it is left out.
    pub limit: Option<u32>,
}

/// Begins a deployment, or rehearses one with `dry_run`.
#[utoipa::path(
    post,
    operation_id = "create_deployment",
    path = "/api/v1/deployments",
    tag = "deployments",
    request_body = DeployRequest,
    responses(
        (status = 202, body = DeploymentBegun, description = "It began."),
        (status = 200, body = DeploymentRehearsed, description = "dry_run: what would become of it."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Governance says no; every objection with its remedy."),
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
    let begun = desk.request(wish, reason);
    let begun = begun.await?;
    Ok((StatusCode::ACCEPTED, Json(DeploymentBegun::from(begun))).into_response())
}

/// Deployments, newest first.
#[utoipa::path(
    get,
    operation_id = "list_deployments",
    path = "/api/v1/deployments",
    tag = "deployments",
    params(DeploymentsQuery),
    responses((status = 200, body = Listing<DeploymentView>, description = "One page."))
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
    };
    let before = query.cursor.map(DeploymentId);
    let limit = limit(query.limit)?;
    let page = desk.deployments(&listed, before.as_ref(), limit).await?;
    Ok(listing(&uri, page, DeploymentView::from))
}

/// One deployment.
#[utoipa::path(
    get,
    operation_id = "get_deployment",
    path = "/api/v1/deployments/{id}",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "It, with its ETag."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such deployment."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<DeploymentPath>,
) -> Result<Response, Problem> {
    let deployment = desk.deployment(&path.id).await?;
    Ok(tagged(deployment.version, DeploymentView::from(deployment)))
}

/// Holds a deployment where it is.
#[utoipa::path(
    post,
    operation_id = "pause_deployment",
    path = "/api/v1/deployments/{id}/pause",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "It is paused."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
    )
)]
pub(super) async fn pause(desk: InDesk, path: InPath<DeploymentPath>) -> Result<Response, Problem> {
    command(desk, path, Command::Pause).await
}

/// Lets a paused deployment go on.
#[utoipa::path(
    post,
    operation_id = "resume_deployment",
    path = "/api/v1/deployments/{id}/resume",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "It goes on."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
    )
)]
pub(super) async fn resume(
    desk: InDesk,
    path: InPath<DeploymentPath>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Resume).await
}

/// Gives users the release back that was live before; the deployment ends as aborted.
#[utoipa::path(
    post,
    operation_id = "abort_deployment",
    path = "/api/v1/deployments/{id}/abort",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Reason,
    responses(
        (status = 200, body = DeploymentView, description = "It turns round."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
    )
)]
pub(super) async fn abort(
    desk: InDesk,
    path: InPath<DeploymentPath>,
    InJson(Reason { reason }): InJson<Reason>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Abort { reason }).await
}

/// Gives users the release back that was live before; the deployment ends as rolled back.
#[utoipa::path(
    post,
    operation_id = "roll_back_deployment",
    path = "/api/v1/deployments/{id}/roll-back",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Option<MaybeReason>,
    responses(
        (status = 200, body = DeploymentView, description = "It turns round."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
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

/// Says yes where the deployment waits for a person.
#[utoipa::path(
    post,
    operation_id = "approve_deployment",
    path = "/api/v1/deployments/{id}/approve",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Option<Approval>,
    responses(
        (status = 200, body = DeploymentView, description = "It is approved."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody asked for it, somebody else must say it (`not_by_requester`), or the plan is another one by now (`plan_changed`)."),
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

/// Says no where the deployment waits for a person: it ends as rolled back.
#[utoipa::path(
    post,
    operation_id = "reject_deployment",
    path = "/api/v1/deployments/{id}/reject",
    tag = "deployments",
    params(DeploymentPath),
    request_body = Reason,
    responses(
        (status = 200, body = DeploymentView, description = "It turns round."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
    )
)]
pub(super) async fn reject(
    desk: InDesk,
    path: InPath<DeploymentPath>,
    InJson(Reason { reason }): InJson<Reason>,
) -> Result<Response, Problem> {
    command(desk, path, Command::Reject { reason }).await
}

/// Cuts the present watch short: its time and its gates count as passed. Approvals cannot be skipped.
#[utoipa::path(
    post,
    operation_id = "promote_deployment",
    path = "/api/v1/deployments/{id}/promote",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = DeploymentView, description = "It goes on with the next step."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "That makes no sense now."),
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

impl From<Begun> for DeploymentBegun {
    fn from(begun: Begun) -> Self {
        Self {
            deployment: begun.deployment.into(),
            preview: Some(begun.preview.into()),
        }
    }
}

impl From<Rehearsal> for DeploymentRehearsed {
    fn from(rehearsal: Rehearsal) -> Self {
        Self {
            preview: rehearsal.preview.map(PreviewView::from),
            objections: rehearsal
                .objections
                .iter()
                .map(ObjectionView::from)
                .collect(),
        }
    }
}
