//! What is going on in an environment, in one question.

use std::collections::BTreeMap;

use axum::{extract::OriginalUri, response::Response};
use domain::{deployment::Deployment, names::ServiceName, observation::InstanceState};
use operations::status::Status;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    deployments::WaitingView,
    environments::{EnvironmentPath, LiveView, troubles},
    wire::{Listing, Paging, cursor, limit, listing},
};
use crate::{
    extract::{InDesk, InPath, InQuery},
    problem::{Problem, ProblemDocument, TroubleView},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(read))
}

/// A service in the environment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlaceStatus)]
pub struct PlaceStatusView {
    /// The service.
    pub service: String,
    /// The live release; null when nothing was deployed.
    pub live: Option<LiveView>,
    /// The running deployment; null when there is none.
    pub deployment: Option<RunningView>,
    /// Healthy instances.
    pub healthy: usize,
    /// Instances that the provider is asked to keep.
    pub wanted: u32,
    /// All instances, including those that are starting or leaving.
    pub instances: usize,
    /// What the provider says of instances that it could not start or that are not healthy.
    pub provider_says: Option<String>,
    /// Percentage of users on each slice.
    pub weights: BTreeMap<String, u8>,
    /// Why the instances are not known, when the provider does not answer.
    pub trouble: Option<TroubleView>,
    /// The address of the service, when the provider knows it.
    pub url: Option<String>,
}

/// A running deployment, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunningDeployment)]
pub struct RunningView {
    /// Its id.
    pub id: String,
    /// The version that it deploys.
    pub version: String,
    /// Its status: `running`, `paused` or `rolling_back`.
    pub status: String,
    /// What it waits for; null when it does not wait.
    pub waiting: Option<WaitingView>,
}

/// Returns the status of every service that has a server group in the environment.
#[utoipa::path(
    get,
    operation_id = "get_environment_status",
    path = "/api/v1/environments/{name}/status",
    tag = "environments",
    params(EnvironmentPath, Paging),
    responses(
        (status = 200, body = Listing<PlaceStatusView>, description = "A page of services, by name."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such environment."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<EnvironmentPath>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after: Option<ServiceName> = cursor(paging.cursor.as_deref())?;
    let limit = limit(paging.limit)?;
    let page = desk.environment_status(&path.name, after.as_ref(), limit);
    Ok(listing(&uri, page.await?, PlaceStatusView::from))
}

impl From<Status> for PlaceStatusView {
    fn from(status: Status) -> Self {
        let seen = status.observation.unwrap_or_default();
        let slices = seen.slices.values();
        let instances = slices.flat_map(|slice| &slice.instances);
        let (mut healthy, mut all) = (0, 0);
        for instance in instances {
            all += 1;
            healthy += usize::from(instance.state == InstanceState::Healthy);
        }
        let wanted = seen.slices.values().map(|slice| slice.sizes.desired);
        let says: Vec<String> = troubles(&seen).map(|(_, says)| says.clone()).collect();
        let weights = seen.weights.iter();
        Self {
            service: status.place.service.to_string(),
            live: status.live.map(LiveView::from),
            deployment: status.deployment.as_ref().map(RunningView::from),
            healthy,
            wanted: wanted.sum(),
            instances: all,
            provider_says: (!says.is_empty()).then(|| says.join("; ")),
            weights: weights
                .map(|(slice, share)| (slice.to_string(), share))
                .collect(),
            trouble: status.trouble.map(TroubleView::from),
            url: status.url,
        }
    }
}

impl From<&Deployment> for RunningView {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            version: deployment.launch.version.to_string(),
            status: deployment.status().as_str().to_owned(),
            waiting: WaitingView::of_deployment(deployment),
        }
    }
}
