//! What one prefers in the portal.

use axum::Json;
use domain::names::ServiceName;
use operations::preferences::{Preferences, Theme};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::{
    extract::{InDesk, InJson},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(get, put))
}

/// What somebody prefers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preferences)]
pub struct PreferencesView {
    /// The time zone of times on pages, such as `Europe/Berlin`; null: that of the browser.
    pub zone: Option<String>,
    /// `auto`, `light` or `dark`.
    pub theme: &'static str,
    /// The services that come first on the overview.
    pub favourites: Vec<String>,
}

impl From<Preferences> for PreferencesView {
    fn from(prefers: Preferences) -> Self {
        let favourites = prefers.favourites.iter();
        Self {
            zone: prefers.zone,
            theme: prefers.theme.as_str(),
            favourites: favourites.map(ToString::to_string).collect(),
        }
    }
}

/// What somebody wants to prefer. What is left out is as if nothing had been chosen.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferencesRequest {
    /// The time zone of times on pages, such as `Europe/Berlin`; left out: that of the browser.
    #[serde(default)]
    #[schema(max_length = 64)]
    zone: Option<String>,
    /// `auto`, `light` or `dark`.
    #[serde(default)]
    #[schema(value_type = String)]
    theme: Theme,
    /// The services that come first on the overview.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 50)]
    favourites: Vec<ServiceName>,
}

/// Shows what one prefers in the portal.
#[utoipa::path(
    get,
    operation_id = "get_my_preferences",
    path = "/api/v1/me/preferences",
    tag = "me",
    responses((status = 200, body = PreferencesView))
)]
pub(super) async fn get(InDesk(desk): InDesk) -> Result<Json<PreferencesView>, Problem> {
    Ok(Json(desk.my_preferences().await?.into()))
}

/// Keeps what one prefers in the portal.
#[utoipa::path(
    put,
    operation_id = "put_my_preferences",
    path = "/api/v1/me/preferences",
    tag = "me",
    request_body = PreferencesRequest,
    responses(
        (status = 200, body = PreferencesView, description = "What is kept."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "No such zone, or too many favourites."),
    )
)]
pub(super) async fn put(
    InDesk(desk): InDesk,
    InJson(body): InJson<PreferencesRequest>,
) -> Result<Json<PreferencesView>, Problem> {
    let wanted = Preferences {
        zone: body.zone,
        theme: body.theme,
        favourites: body.favourites,
    };
    Ok(Json(desk.set_my_preferences(wanted).await?.into()))
}
