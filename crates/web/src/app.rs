//! What handlers work with, and every route with the layers around it.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use operations::{Operations, metrics::Metrics};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    api,
    door::{Door, Keys},
    idempotency,
    layers::{self, Hosts},
    portal::{self, Portal, PublicUrls},
    problem::Problem,
    rows::Guarded,
    streams,
    tls::Certificates,
};

/// Largest ordinary body, in bytes.
const BODY_LEN_MAX: usize = 1024 * 1024;
/// What the words mean; the same text as in the repository.
const CONCEPTS: &str = include_str!("../../../docs/concepts.md");
/// Event and log streams that are open at once.
const STREAMS_MAX: usize = 256;

/// What handlers work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) operations: Operations,
    pub(crate) door: Arc<Door>,
    pub(crate) metrics: Metrics,
    pub(crate) streams: streams::Streams,
    pub(crate) underway: idempotency::Underway,
    pub(crate) portal: Portal,
    pub(crate) hosts: Hosts,
    /// The certificate, where this server ends TLS itself.
    pub(crate) tls: Option<Certificates>,
}

impl App {
    /// All faces of `operations`, for who has a session, a token, or one of `keys`, asked for by `hosts`;
    /// people in browsers find them at `portal`, the first of which is the one that links name. Streams end
    /// with `stopping`.
    #[must_use]
    pub fn new(
        operations: Operations,
        keys: Keys,
        metrics: Metrics,
        hosts: Hosts,
        portal: PublicUrls,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            door: Arc::new(Door::new(keys, operations.clone())),
            operations,
            metrics,
            streams: streams::Streams::new(STREAMS_MAX, stopping),
            underway: idempotency::Underway::default(),
            portal: Portal {
                urls: portal,
                hub: Default::default(),
            },
            hosts,
            tls: None,
        }
    }

    /// The same, behind this certificate, whose troubles `/health` tells.
    #[must_use]
    pub fn behind(self, tls: Option<Certificates>) -> Self {
        Self { tls, ..self }
    }
}

/// Every route.
pub fn router(app: App) -> Router {
    let docs = SwaggerUi::new("/docs").url("/openapi.json", api::description());
    let with_token = quick(api::usual(), &app, BODY_LEN_MAX)
        .merge(quick(api::large(), &app, api::manifests::BODY_LEN_MAX))
        .merge(Router::from(api::slow()).layer(DefaultBodyLimit::disable()))
        .route_layer(from_fn_with_state(app.clone(), layers::authenticated));
    let counted = from_fn_with_state(app.metrics.clone(), layers::counted);
    let for_this_host = from_fn_with_state(app.clone(), layers::for_this_host);
    let pages = portal::routes(&app);
    Router::from(api::open())
        .merge(with_token)
        .merge(pages)
        .with_state(app)
        .merge(docs)
        .route(api::CONCEPTS_PATH, get(concepts))
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
        .layer(for_this_host)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::request_id))
        .layer(counted)
}

/// Routes with an answer in time, to bodies of a bounded size.
fn quick(routes: Guarded, app: &App, body_len_max: usize) -> Router<App> {
    Router::from(routes)
        .route_layer(from_fn_with_state(app.clone(), idempotency::remember))
        .layer(DefaultBodyLimit::max(body_len_max))
        .layer(from_fn(layers::in_time))
}

/// The words that the API and the command line use.
async fn concepts() -> ([(HeaderName, &'static str); 1], &'static str) {
    let media_type = "text/markdown; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], CONCEPTS)
}

async fn no_such_route(uri: Uri, headers: HeaderMap) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("there is no route {path}");
    if !path.starts_with("/api/") && portal::wants_page(&headers) {
        return portal::no_page();
    }
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", detail)
        .remedy("see `/docs` for all routes")
        .into_response()
}

async fn no_such_method() -> Problem {
    let detail = "this path does not support this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        .remedy("see `/docs` for all routes")
}
