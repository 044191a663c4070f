//! What this server counted.

use axum::{extract::State, http::header, response::IntoResponse};

use crate::App;
use crate::rows::Guarded;
use operations::metrics::MEDIA_TYPE;
use utoipa_axum::routes;

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(metrics))
}

/// Returns the metrics of this server since it started, in the text format of Prometheus.
#[utoipa::path(
    get,
    operation_id = "get_metrics",
    path = "/metrics",
    tag = "server",
    responses((
        status = 200,
        body = String,
        content_type = "application/openmetrics-text",
        description = "Metrics, one per line.",
    ))
)]
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], app.metrics.text())
}
