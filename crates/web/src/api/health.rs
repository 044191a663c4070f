//! Is the server there?

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::{
    App,
    problem::{Problem, ProblemDocument},
    rows::Guarded,
    tls::Certificates,
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
    /// What needs somebody although the server answers; absent when there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<HealthTrouble>,
}

/// What needs somebody.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthTrouble {
    /// Stable, for programs: `certificate_not_replaced`.
    pub reason: &'static str,
    /// The same for people.
    pub sentence: String,
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
        troubles: app.tls.iter().filter_map(not_replaced).collect(),
    }))
}

/// New files that cannot be used, while the certificate before them stays. Paths are for the log alone.
fn not_replaced(certificates: &Certificates) -> Option<HealthTrouble> {
    certificates.trouble().map(|_| HealthTrouble {
        reason: "certificate_not_replaced",
        sentence: "the files of the certificate changed and cannot be used; the log says why, and the certificate before stays".to_owned(),
    })
}
