//! The REST API: translates HTTP into operations and back, and describes itself.
//!
//! Invariant: no rule lives here. A handler reads the request, calls one operation, and writes the
//! answer; it never names the store or a provider.
//! Invariant: every route but `/health`, `/openapi.json` and `/docs` needs a token; a test walks
//! the API's own description to make sure.

mod accounts;
mod audit;
mod calls;
mod catalogue;
mod deployments;
mod describe;
mod environments;
mod events;
mod extract;
mod health;
mod idempotency;
mod images;
mod layers;
mod manifests;
mod metrics;
mod problem;
mod releases;
mod slices;
#[expect(dead_code, reason = "only their descriptions are used")]
mod strategies;
mod streams;
mod tokens;
mod wire;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{StatusCode, Uri},
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use operations::{Operations, metrics::Metrics};

use crate::door::{Door, Token};
use describe::TokenScheme;
use problem::{Problem, ProblemDocument};

/// Largest ordinary body, in bytes.
const BODY_LEN_MAX: usize = 1024 * 1024;
/// Event and log streams that are open at once.
const STREAMS_MAX: usize = 256;

/// What handlers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    operations: Operations,
    door: Arc<Door>,
    metrics: Metrics,
    streams: streams::Streams,
    underway: idempotency::Underway,
}

impl App {
    /// The API over `operations`, for people with tokens, and for who shows `first`, the token of the
    /// first start. Streams end with `stopping`.
    #[must_use]
    pub fn new(
        operations: Operations,
        first: Token,
        metrics: Metrics,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            door: Arc::new(Door::new(first, operations.clone())),
            operations,
            metrics,
            streams: streams::Streams::new(STREAMS_MAX, stopping),
            underway: idempotency::Underway::default(),
        }
    }
}

/// What the API says about itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pointsman",
        description = "Sets which release of a service the users reach. Every answer that is no success is a problem document (RFC 9457) with a stable `code`.",
    ),
    components(schemas(ProblemDocument)),
    security(("token" = [])),
    modifiers(&TokenScheme),
)]
struct Description;

/// The description of the API, as `api/openapi.json` keeps it.
#[must_use]
pub fn description() -> Document {
    let mut routes = open().merge(usual()).merge(large()).merge(slow());
    describe::completed(routes.to_openapi())
}

/// The whole API.
pub fn router(app: App) -> Router {
    let docs = SwaggerUi::new("/docs").url("/openapi.json", description());
    let with_token = quick(usual(), &app, BODY_LEN_MAX)
        .merge(quick(large(), &app, manifests::BODY_LEN_MAX))
        .merge(Router::from(slow()).layer(DefaultBodyLimit::disable()))
        .route_layer(from_fn_with_state(app.clone(), layers::authenticated));
    let counted = from_fn_with_state(app.metrics.clone(), layers::counted);
    Router::from(open())
        .merge(with_token)
        .with_state(app)
        .merge(docs)
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::request_id))
        .layer(counted)
}

/// Routes with an answer in time, to bodies of a bounded size.
fn quick(routes: OpenApiRouter<App>, app: &App, body_len_max: usize) -> Router<App> {
    Router::from(routes)
        .route_layer(from_fn_with_state(app.clone(), idempotency::remember))
        .layer(DefaultBodyLimit::max(body_len_max))
        .layer(from_fn(layers::in_time))
}

/// Needs no token.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi()).routes(routes!(health::health))
}

/// Small bodies, quick answers.
fn usual() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(catalogue::routes())
        .routes(routes!(environments::lock, environments::unlock))
        .routes(routes!(releases::list))
        .routes(routes!(releases::withdraw))
        .routes(routes!(deployments::request, deployments::list))
        .routes(routes!(deployments::read))
        .routes(routes!(calls::read))
        .routes(routes!(deployments::pause))
        .routes(routes!(deployments::resume))
        .routes(routes!(deployments::abort))
        .routes(routes!(deployments::roll_back))
        .routes(routes!(deployments::approve))
        .routes(routes!(deployments::reject))
        .routes(routes!(deployments::promote))
        .routes(routes!(events::events))
        .routes(routes!(events::looks))
        .routes(routes!(environments::status))
        .routes(routes!(environments::roll_back))
        .routes(routes!(accounts::checkup))
        .routes(routes!(accounts::policy))
        .routes(routes!(accounts::import))
        .routes(routes!(slices::read))
        .routes(routes!(slices::switch))
        .routes(routes!(slices::pass))
        .routes(routes!(environments::logs))
        .routes(routes!(images::list))
        .routes(routes!(images::plan))
        .routes(routes!(tokens::create, tokens::list))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(metrics::metrics))
}

/// Large bodies.
fn large() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(manifests::apply))
}

/// Takes its time: has its own limits of size and silence, or reads a whole log.
fn slow() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(releases::read, releases::create))
        .routes(routes!(audit::verify))
}

async fn no_such_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("there is nothing at {path}");
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
        .remedy("`/docs` shows all that the API offers")
}

async fn no_such_method() -> Problem {
    let detail = "there is something here, but it does not take this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .remedy("`/docs` shows all that the API offers")
}
