//! Locks of environments, and what is going on at a place.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{
    access::Right,
    governance::Lock,
    live::Live,
    names::{EnvironmentName, Place, ServiceName},
    observation::{Instance, InstanceId, Observation, Sizes},
    slice::Slice,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    deployments::{DeploymentBegun, DeploymentView, MaybeReason, Reason},
    wire::time,
};
use crate::{
    App,
    extract::{InDesk, InJson, InMaybeJson, InPath, InQuery, InVisa},
    problem::{Problem, ProblemDocument, TroubleView},
    rows::Guarded,
    streams::{Piece, Reader, Subject},
};
use operations::{cloud::LogQuery, status::Status};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(lock, unlock))
        .routes(routes!(status))
        .routes(routes!(roll_back))
        .routes(routes!(logs))
}

/// One environment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct EnvironmentPath {
    /// Name of the environment.
    pub(super) name: EnvironmentName,
}

/// One service in one environment.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PlacePath {
    /// The environment.
    environment: EnvironmentName,
    /// The service.
    service: ServiceName,
}

impl From<PlacePath> for Place {
    fn from(path: PlacePath) -> Self {
        Self {
            service: path.service,
            environment: path.environment,
        }
    }
}

/// The lock of an environment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Lock)]
pub struct LockView {
    /// Who locked it.
    pub by: String,
    /// When it was locked, RFC 3339.
    pub since: String,
    /// The reason, in that person's words.
    pub reason: String,
}

impl From<Lock> for LockView {
    fn from(lock: Lock) -> Self {
        Self {
            by: lock.by,
            since: time(lock.since),
            reason: lock.reason,
        }
    }
}

/// Locks an environment: deployments are refused until it is unlocked.
#[utoipa::path(
    put,
    operation_id = "lock_environment",
    path = "/api/v1/environments/{name}/lock",
    tag = "environments",
    params(EnvironmentPath),
    request_body = Reason,
    responses(
        (status = 200, body = LockView, description = "Locked."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such environment."),
    )
)]
pub(super) async fn lock(
    InDesk(desk): InDesk,
    InPath(path): InPath<EnvironmentPath>,
    InJson(body): InJson<Reason>,
) -> Result<Json<LockView>, Problem> {
    let lock = desk.lock(&path.name, &body.reason).await?;
    Ok(Json(lock.into()))
}

/// Unlocks an environment.
#[utoipa::path(
    delete,
    operation_id = "unlock_environment",
    path = "/api/v1/environments/{name}/lock",
    tag = "environments",
    params(EnvironmentPath),
    responses(
        (status = 204, description = "Unlocked."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such environment."),
    )
)]
pub(super) async fn unlock(
    InDesk(desk): InDesk,
    InPath(path): InPath<EnvironmentPath>,
) -> Result<StatusCode, Problem> {
    desk.unlock(&path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The status of a service in an environment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusView {
    /// The service.
    pub service: ServiceName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The live release; null when nothing was deployed.
    pub live: Option<LiveView>,
    /// The running deployment; null when there is none.
    pub deployment: Option<DeploymentView>,
    /// The lock of the environment; null when it is not locked.
    pub lock: Option<LockView>,
    /// What the provider sees; null without a server group, or when the provider does not answer.
    pub observation: Option<ObservationView>,
    /// Why there is no observation, when the provider does not answer.
    pub trouble: Option<TroubleView>,
    /// The address of the service, when the provider knows it.
    pub url: Option<String>,
}

/// The live release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Live)]
pub struct LiveView {
    /// Its version.
    pub version: String,
    /// When it became live, RFC 3339.
    pub since: String,
    /// The deployment that made it live.
    pub deployment: String,
    /// The version that was live before.
    pub previous_version: Option<String>,
}

/// What the provider sees.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Observation)]
pub struct ObservationView {
    /// When it answered, RFC 3339.
    pub at: String,
    /// How users are split between slices, in percent.
    pub weights: std::collections::BTreeMap<String, u8>,
    /// The capacity settings of each slice.
    pub sizes: std::collections::BTreeMap<String, SizesView>,
    /// What the provider says of instances that it could not start or that are not healthy, by slice.
    pub provider_says: std::collections::BTreeMap<String, String>,
    /// Every instance that the provider lists, including those that are stopping.
    pub instances: Vec<InstanceView>,
}

/// The capacity settings of a slice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sizes)]
pub struct SizesView {
    /// The group's own autoscaling never goes below this.
    pub min: u32,
    /// How many instances the provider keeps.
    pub desired: u32,
    /// The group's own autoscaling never goes above this.
    pub max: u32,
}

/// An instance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceView {
    /// The provider's id.
    pub id: String,
    /// The version that it runs.
    pub version: String,
    /// The launch that it was started from.
    pub launch: String,
    /// The slice that it is in.
    pub slice: String,
    /// Its zone.
    pub zone: String,
    /// `pending`, `healthy`, `unhealthy`, `draining` or `terminating`.
    pub state: String,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// When it was started, RFC 3339.
    pub started_at: String,
}

/// Returns the status of a service in an environment: the live release, the running deployment, and
/// what the provider sees.
#[utoipa::path(
    get,
    operation_id = "get_status",
    path = "/api/v1/environments/{environment}/services/{service}",
    tag = "environments",
    params(PlacePath),
    responses(
        (status = 200, body = StatusView, description = "The status of the service in the environment."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service or environment."),
    )
)]
pub(super) async fn status(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
) -> Result<Json<StatusView>, Problem> {
    let status = desk.status(path.into()).await?;
    Ok(Json(status.into()))
}

/// Rolls a service back: the running deployment if there is one; otherwise the previous release is
/// deployed.
#[utoipa::path(
    post,
    operation_id = "roll_back_place",
    path = "/api/v1/environments/{environment}/services/{service}/roll-back",
    tag = "environments",
    params(PlacePath),
    request_body = Option<MaybeReason>,
    responses(
        (status = 202, body = DeploymentBegun, description = "The deployment that is rolled back, or the new one."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Governance refuses the deployment, or there is no previous release."),
    )
)]
pub(super) async fn roll_back(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
    InMaybeJson(body): InMaybeJson<MaybeReason>,
) -> Result<Response, Problem> {
    let reason = body.or("rolled back by a person");
    let place = path.into();
    let rolled = desk.roll_back(&place, &reason).await?;
    let body = DeploymentBegun {
        deployment: rolled.deployment.into(),
        preview: rolled.preview.map(Into::into),
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// Which lines of the logs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct LogsQuery {
    /// Only lines of this instance.
    pub instance: Option<String>,
    /// Number of past lines per instance.
    #[param(maximum = 100_000)]
    pub lines: u32,
    /// Whether new lines follow until the request is closed.
    pub follow: bool,
}

impl Default for LogsQuery {
    fn default() -> Self {
        Self {
            instance: None,
            lines: 100,
            follow: false,
        }
    }
}

/// Returns the logs of a service's instances.
#[utoipa::path(
    get,
    operation_id = "get_logs",
    path = "/api/v1/environments/{environment}/services/{service}/logs",
    tag = "environments",
    params(PlacePath, LogsQuery),
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "Log lines, as text."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service, environment or logs."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The provider does not answer."),
    )
)]
pub(super) async fn logs(
    State(app): State<App>,
    InDesk(desk): InDesk,
    InVisa(visa): InVisa,
    InPath(path): InPath<PlacePath>,
    InQuery(query): InQuery<LogsQuery>,
) -> Result<Response, Problem> {
    let wanted = LogQuery {
        instance: query.instance.map(InstanceId),
        lines: query.lines,
        follow: query.follow,
    };
    let place = path.into();
    let text = desk.logs(&place, wanted).await?;
    let reader = Reader {
        visa,
        right: Right::ViewLogs,
        subject: Subject::Place(place),
    };
    let text = app.streams.bounded(text, reader)?.map(|piece| match piece {
        Piece::Item(text) => text,
        Piece::Last(lost) => Ok(format!("pointsman: these logs end here: {lost}\n").into()),
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((headers, Body::from_stream(text)).into_response())
}

impl From<Live> for LiveView {
    fn from(live: Live) -> Self {
        Self {
            version: live.launch.version.to_string(),
            since: time(live.since),
            deployment: live.deployment.to_string(),
            previous_version: live.previous.map(|previous| previous.version.to_string()),
        }
    }
}

impl From<Status> for StatusView {
    fn from(status: Status) -> Self {
        Self {
            service: status.place.service,
            environment: status.place.environment,
            live: status.live.map(LiveView::from),
            deployment: status.deployment.map(DeploymentView::from),
            lock: status.lock.map(LockView::from),
            observation: status.observation.map(ObservationView::from),
            trouble: status.trouble.map(TroubleView::from),
            url: status.url,
        }
    }
}

impl From<Observation> for ObservationView {
    fn from(seen: Observation) -> Self {
        let weights = seen.weights.iter();
        let sizes = seen.slices.iter();
        Self {
            at: time(seen.at),
            weights: weights
                .map(|(slice, weight)| (slice.to_string(), weight))
                .collect(),
            sizes: sizes
                .map(|(slice, there)| (slice.to_string(), there.sizes.into()))
                .collect(),
            provider_says: troubles(&seen)
                .map(|(slice, says)| (slice.to_string(), says.clone()))
                .collect(),
            instances: seen
                .slices
                .into_iter()
                .flat_map(|(slice, there)| {
                    there.instances.into_iter().map(move |i| instance(slice, i))
                })
                .collect(),
        }
    }
}

/// What the provider says of the instances of each slice that has trouble.
pub(super) fn troubles(seen: &Observation) -> impl Iterator<Item = (&Slice, &String)> {
    let slices = seen.slices.iter();
    slices.filter_map(|(slice, there)| Some((slice, there.trouble.as_ref()?)))
}

impl From<Sizes> for SizesView {
    fn from(sizes: Sizes) -> Self {
        Self {
            min: sizes.min,
            desired: sizes.desired,
            max: sizes.max,
        }
    }
}

fn instance(slice: Slice, instance: Instance) -> InstanceView {
    InstanceView {
        id: instance.id.to_string(),
        version: instance.version.to_string(),
        launch: instance.launch.to_string(),
        slice: slice.to_string(),
        zone: instance.zone,
        state: super::wire::word(&instance.state),
        protected: instance.protected,
        started_at: time(instance.started_at),
    }
}
