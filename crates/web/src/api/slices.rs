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
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    deployments::{DeploymentBegun, MaybeReason},
    environments::{PlacePath, SizesView},
    wire::{time, word},
};
use crate::{
    App,
    extract::{InDesk, InJson, InMaybeJson, InPath},
    idempotency::NotKept,
    problem::{Problem, ProblemDocument},
};
use operations::slices::{Role, Slices, Standing};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(read))
        .routes(routes!(switch))
        .routes(routes!(pass))
}

/// The slices of a place at one moment.
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
    /// What became of its copies.
    pub mirrored: Option<MirroredView>,
}

/// How one slice stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Slice)]
pub struct SliceView {
    /// `blue` or `green`.
    pub slice: String,
    /// `live` or `next`: where the next release comes up, and without a deployment what users can be
    /// switched to.
    pub role: String,
    /// Its share of the users, in percent.
    pub weight: u8,
    /// What new instances are started from; null when nothing was launched here.
    pub launch: Option<String>,
    /// The version of that.
    pub version: Option<String>,
    /// Its capacity settings.
    pub sizes: SizesView,
    /// How many instances are in which state: `pending`, `healthy`, `unhealthy`, `draining`,
    /// `terminating`.
    pub instances: BTreeMap<String, u32>,
    /// What routers counted of its users' requests; null where they do not count.
    pub traffic: Option<TrafficView>,
}

/// What routers counted of the users' requests to one slice.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Traffic)]
pub struct TrafficView {
    /// Changes when counting begins anew.
    pub epoch: u64,
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Requests that were answered with a 5xx, or not at all.
    pub errors: u64,
    /// Half of the answers took no longer than this, in microseconds; null when nothing is known.
    pub p50_us: Option<u64>,
    /// 95 % of the answers took no longer than this, in microseconds.
    pub p95_us: Option<u64>,
}

/// What became of the copies of dark traffic.
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
    /// Of these, requests where two answers of stable differed: what chance alone does.
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

/// The slices of a place: who has the users, what runs there, what routers counted.
#[utoipa::path(
    get,
    operation_id = "get_slices",
    path = "/api/v1/environments/{environment}/services/{service}/slices",
    tag = "environments",
    params(PlacePath),
    responses(
        (status = 200, body = SlicesView, description = "Each slice."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such service or environment, or no server group."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The provider is in trouble."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<PlacePath>,
) -> Result<Json<SlicesView>, Problem> {
    let slices = desk.slices(path.into()).await?;
    Ok(Json(slices.into()))
}

/// Moves the users to what the other slice runs: a deployment like any other.
#[utoipa::path(
    post,
    operation_id = "switch_place",
    path = "/api/v1/environments/{environment}/services/{service}/switch",
    tag = "environments",
    params(PlacePath),
    request_body = Option<MaybeReason>,
    responses(
        (status = 202, body = DeploymentBegun, description = "It began."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Governance says no: the other slice is empty or unhealthy, or another rule is broken."),
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

/// Which slice a pass leads to, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassRequest {
    /// `blue` or `green`; the slice without users when it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    slice: Option<domain::slice::Slice>,
    /// For how long, at most a week.
    #[serde(default = "an_hour")]
    #[schema(required = false, default = 3600, minimum = 1, maximum = 604_800)]
    seconds: u32,
}

fn an_hour() -> u32 {
    3600
}

/// A pass for testers. It is shown once, and kept nowhere.
#[derive(Serialize, ToSchema)]
#[schema(as = Pass)]
pub struct PassView {
    /// To be sent as header `x-pointsman-pass` or as cookie `pointsman-pass`.
    pub token: String,
    /// Which slice it leads to.
    pub slice: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
}

/// Gives a pass that lets testers into one slice, also one without users.
#[utoipa::path(
    post,
    operation_id = "create_pass",
    path = "/api/v1/environments/{environment}/services/{service}/passes",
    tag = "environments",
    params(PlacePath),
    request_body = PassRequest,
    responses(
        (status = 201, body = PassView, description = "The pass."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such place, or nothing was ever deployed there."),
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

impl From<Standing> for SliceView {
    fn from(standing: Standing) -> Self {
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
