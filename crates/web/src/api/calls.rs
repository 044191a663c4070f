//! What a deployment costs in calls to the provider.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::deployments::DeploymentPath;
use crate::{
    extract::{InDesk, InPath},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(read))
}

/// Calls to the provider that were made for a deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeploymentCalls)]
pub struct CallsView {
    /// Calls that changed something; null when the provider does not count them, or another server
    /// drove the deployment.
    pub changes: Option<u64>,
    /// Its share of the calls that only read, which deployments have in common; null as above.
    pub looks: Option<f64>,
}

/// Returns how many AWS calls a deployment made. Known for the last deployment of a service in an
/// environment, to the server that drives it, until that server stops.
#[utoipa::path(
    get,
    operation_id = "get_deployment_calls",
    path = "/api/v1/deployments/{id}/calls",
    tag = "deployments",
    params(DeploymentPath),
    responses(
        (status = 200, body = CallsView, description = "The calls so far."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such deployment."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<DeploymentPath>,
) -> Result<Json<CallsView>, Problem> {
    let calls = desk.calls(&path.id).await?;
    Ok(Json(CallsView {
        changes: calls.map(|calls| calls.changes),
        looks: calls.map(|calls| calls.looks),
    }))
}
