//! The slices of a place side by side, and switching users between them.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::traffic::{self, Mirrored, Traffic};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    deployments::{DeploymentBegun, MaybeReason},
    environments::{PlacePath, SizesView},
    wire::{time, word},
};
use crate::{
    extract::{InDesk, InJson, InMaybeJson, InPath},
    idempotency::NotKept,
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};
use operations::slices::{Role, SliceStatus, Slices};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(read))
        .routes(routes!(switch))
        .routes(routes!(pass))
}

/// The slices of a service in an environment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Slices)]
pub struct SlicesView {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// When the provider answered, RFC 3339.
    pub at: String,
    /// Each slice of the group, blue first.
    pub slices: Vec<SliceView>,
    /// The dark traffic that routers send.
    pub mirror: Option<traffic::Mirror>,
    /// The results of its copies.
    pub mirrored: Option<MirroredView>,
}

/// A slice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Slice)]
pub struct SliceView {
    /// `blue` or `green`.
    pub slice: String,
    /// `live`, or `next`: the slice for the next release, to which users can be switched when no
    /// deployment runs.
    pub role: String,
    /// Its share of the users, in percent.
    pub weight: u8,
    /// The launch that new instances are started from; null when nothing was launched here.
    pub launch: Option<String>,
    /// The version of that launch.
    pub version: Option<String>,
    /// Its capacity settings.
    pub sizes: SizesView,
    /// Number of instances by state: `pending`, `healthy`, `unhealthy`, `draining`, `terminating`.
    pub instances: BTreeMap<String, u32>,
    /// Its users' requests, as routers count them; null where they do not.
    pub traffic: Option<TrafficView>,
}

/// The users' requests to a slice, as routers count them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Traffic)]
pub struct TrafficView {
    /// Changes when the counters restart from zero.
    pub epoch: u64,
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Requests that were answered with a 5xx, or not at all.
    pub errors: u64,
    /// Median time to answer, in microseconds; null when it is not known.
    pub p50_us: Option<u64>,
    /// 95th percentile of the time to answer, in microseconds; null when it is not known.
    pub p95_us: Option<u64>,
}

/// The results of dark traffic.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mirrored)]
pub struct MirroredView {
    /// Copies that were sent.
    pub copies: u64,
    /// Copies that were not sent, because too many were under way.
    pub dropped: u64,
    /// Copies that got no answer, or a 5xx.
    pub errors: u64,
    /// Requests of which all three answers were compared.
    pub compared: u64,
    /// Of these, requests where the copy's answer differed and a second one of stable did not.
    pub differing: u64,
    /// Of these, requests where two answers of stable differed from each other: noise.
    pub noisy: u64,
    /// The fields that differed.
    pub fields: BTreeMap<String, DifferenceView>,
}

/// How often one field differed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldDifference)]
pub struct DifferenceView {
    /// Between the users' answer and the copy's.
    pub differed: u64,
    /// Between the users' answer and the second one of the same slice.
    pub noise: u64,
    /// The users' value, in one pair of values that differed.
    pub users: Option<String>,
    /// The copy's value, in the same pair.
    pub copy: Option<String>,
}

/// Returns the slices of a service: their users, what they run, and what routers counted.
#[utoipa::path(
    get,
    operation_id = "get_slices",
    path = "/api/v1/environments/{environment}/services/{service}/slices",
    tag = "environments",
    params(PlacePath),
    responses(
        (status = 200, body = SlicesView, description = "The slices."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service or environment, or no server group."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The provider does not answer."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
) -> Result<Json<SlicesView>, Problem> {
    let slices = desk.slices(path.into()).await?;
    Ok(Json(slices.into()))
}

/// Starts a deployment that switches users to the release on the other slice.
#[utoipa::path(
    post,
    operation_id = "switch_place",
    path = "/api/v1/environments/{environment}/services/{service}/switch",
    tag = "environments",
    params(PlacePath),
    request_body = Option<MaybeReason>,
    responses(
        (status = 202, body = DeploymentBegun, description = "The deployment has started."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Governance refuses the deployment: the other slice is empty or unhealthy, or another rule is broken."),
    )
)]
pub(super) async fn switch(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
    InMaybeJson(body): InMaybeJson<MaybeReason>,
) -> Result<Response, Problem> {
    let reason = body.reason.filter(|reason| !reason.trim().is_empty());
    let place = path.into();
    let begun = desk.switch(&place, reason.as_deref());
    let body = DeploymentBegun::from(begun.await?);
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

/// The slice that a pass leads to, and its lifetime.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// `blue` or `green`; the slice without users if omitted.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    slice: Option<domain::slice::Slice>,
    /// Lifetime in seconds, at most a week.
    #[serde(default = "an_hour")]
    #[schema(required = false, default = 3600, minimum = 1, maximum = 604_800)]
    seconds: u32,
}

fn an_hour() -> u32 {
    3600
}

/// A pass for testers. It is returned once and not stored.
#[derive(Serialize, ToSchema)]
#[schema(as = Pass)]
pub struct PassView {
    /// The pass, for the header `x-pointsman-pass` or the cookie `pointsman-pass`.
    pub token: String,
    /// The slice that it leads to.
    pub slice: String,
    /// When it expires, RFC 3339.
    pub expires_at: String,
}

/// Creates a pass that lets testers into one slice, even one without users.
#[utoipa::path(
    post,
    operation_id = "create_pass",
    path = "/api/v1/environments/{environment}/services/{service}/passes",
    tag = "environments",
    params(PlacePath),
    request_body = PassRequest,
    responses(
        (status = 201, body = PassView, description = "The pass."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service or environment, or nothing was ever deployed there."),
    )
)]
pub(super) async fn pass(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
    InJson(PassRequest { slice, seconds }): InJson<PassRequest>,
) -> Result<Response, Problem> {
    let place = path.into();
    let pass = desk.pass(&place, slice, seconds).await?;
    let view = PassView {
        token: pass.token,
        slice: pass.slice.to_string(),
        expires_at: time(pass.expires),
    };
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

impl From<Slices> for SlicesView {
    fn from(slices: Slices) -> Self {
        Self {
            service: slices.place.service.to_string(),
            environment: slices.place.environment.to_string(),
            at: time(slices.at),
            slices: slices.slices.into_iter().map(SliceView::from).collect(),
            mirror: slices.mirror,
            mirrored: slices.mirrored.map(MirroredView::from),
        }
    }
}

impl From<SliceStatus> for SliceView {
    fn from(standing: SliceStatus) -> Self {
        let mut instances = BTreeMap::new();
        for instance in &standing.seen.instances {
            *instances.entry(word(&instance.state)).or_default() += 1;
        }
        let role = match standing.role {
            Role::Live => "live",
            Role::Next => "next",
        };
        let launches = standing.seen.launches;
        Self {
            slice: standing.slice.to_string(),
            role: role.to_owned(),
            weight: standing.weight,
            launch: launches.as_ref().map(|launch| launch.id.to_string()),
            version: launches.map(|launch| launch.version.to_string()),
            sizes: standing.seen.sizes.into(),
            instances,
            traffic: standing.traffic.map(TrafficView::from),
        }
    }
}

impl From<Traffic> for TrafficView {
    fn from(traffic: Traffic) -> Self {
        Self {
            epoch: traffic.epoch,
            requests: traffic.requests,
            errors: traffic.errors,
            p50_us: traffic.latency.percentile_us(50),
            p95_us: traffic.latency.percentile_us(95),
        }
    }
}

impl From<Mirrored> for MirroredView {
    fn from(mirrored: Mirrored) -> Self {
        let fields = mirrored.fields.into_iter().map(|(name, difference)| {
            let (users, copy) = difference.example.unzip();
            let view = DifferenceView {
                differed: difference.differed,
                noise: difference.noise,
                users,
                copy,
            };
            (name, view)
        });
        Self {
            copies: mirrored.copies,
            dropped: mirrored.dropped,
            errors: mirrored.errors,
            compared: mirrored.compared,
            differing: mirrored.differing,
            noisy: mirrored.noisy,
            fields: fields.collect(),
        }
    }
}
