//! Is the server there?

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::{
    App,
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(health))
}

/// The server answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// Version of the server.
    pub version: &'static str,
}

/// Returns whether the server and its store answer. Needs no token.
#[utoipa::path(
    get,
    operation_id = "get_health",
    path = "/health",
    tag = "server",
    security(()),
    responses(
        (status = 200, body = Health, description = "The server and its store answer."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The store does not answer."),
    )
)]
pub(super) async fn health(State(app): State<App>) -> Result<Json<Health>, Problem> {
    app.operations.health().await?;
    Ok(Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}
