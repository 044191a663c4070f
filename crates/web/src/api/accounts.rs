//! Accounts as they are: check-ups, the permissions they need, and what stands there already.

use axum::Json;
use domain::{
    checkup::Check,
    names::{EnvironmentName, Place, ServiceName},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::{
    extract::{InDesk, InPath, InQuery},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(checkup))
        .routes(routes!(policy))
        .routes(routes!(import))
}

/// Which account.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AccountPath {
    /// Name of the account.
    name: String,
}

/// The result of checking an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkup)]
pub struct CheckupView {
    /// The account.
    pub account: String,
    /// The checks.
    pub checks: Vec<CheckView>,
}

/// The result of one check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckView {
    /// Name of the check, such as `credentials`.
    pub name: String,
    /// `ok`, `unchecked` (checking would change something), `warning` (it works, but should be looked
    /// at) or `failed` (deployments to the account will fail).
    pub status: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self {
            name: check.name,
            status: check.status.word().to_owned(),
            found: check.found,
            remedy: check.remedy,
        }
    }
}

/// Checks everything that deployments to an account depend on: credentials, permissions, network,
/// quotas, clocks and each server group. Changes nothing.
#[utoipa::path(
    get,
    operation_id = "check_account",
    path = "/api/v1/accounts/{name}/checkup",
    tag = "accounts",
    params(AccountPath),
    responses(
        (status = 200, body = CheckupView, description = "The results of all checks."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such account."),
    )
)]
pub(super) async fn checkup(
    InDesk(desk): InDesk,
    InPath(path): InPath<AccountPath>,
) -> Result<Json<CheckupView>, Problem> {
    let checks = desk.checkup(&path.name).await?;
    Ok(Json(CheckupView {
        account: path.name,
        checks: checks.into_iter().map(CheckView::from).collect(),
    }))
}

/// Returns the smallest IAM policy that Pointsman needs in an account.
#[utoipa::path(
    get,
    operation_id = "get_account_policy",
    path = "/api/v1/accounts/{name}/policy",
    tag = "accounts",
    params(AccountPath),
    responses(
        (status = 200, body = Object, description = "An IAM policy document."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such account."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The provider of this account offers no policy, or this build does not have that provider."),
    )
)]
pub(super) async fn policy(
    InDesk(desk): InDesk,
    InPath(path): InPath<AccountPath>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(desk.policy(&path.name).await?))
}

/// What to read, and for which place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    /// Name of the Auto Scaling group, or of two separated by a comma, the blue one first.
    groups: String,
    /// The service that runs on the groups.
    #[param(value_type = ServiceName)]
    service: String,
    /// The environment of the service.
    #[param(value_type = EnvironmentName)]
    environment: String,
}

/// A manifest generated from existing groups.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Imported)]
pub struct ImportedView {
    /// The manifest of a server group.
    #[schema(value_type = Object)]
    pub manifest: Value,
    /// What prevents deployments there, and what must be completed by hand.
    pub notes: Vec<String>,
}

/// Generates a manifest that adopts existing Auto Scaling groups. Changes nothing.
#[utoipa::path(
    get,
    operation_id = "import_groups",
    path = "/api/v1/accounts/{name}/import",
    tag = "accounts",
    params(AccountPath, ImportQuery),
    responses(
        (status = 200, body = ImportedView, description = "The manifest; it is not applied."),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "No group name, or more than two."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such account."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The provider does not answer, or there is no such group."),
    )
)]
pub(super) async fn import(
    InDesk(desk): InDesk,
    InPath(path): InPath<AccountPath>,
    InQuery(query): InQuery<ImportQuery>,
) -> Result<Json<ImportedView>, Problem> {
    let name = |field: &str| {
        let detail = format!("{field} is not a valid name");
        Problem::new(axum::http::StatusCode::BAD_REQUEST, "invalid", detail)
            .remedy("use lower-case letters, digits and hyphens")
    };
    let place = Place {
        service: query.service.parse().map_err(|_| name("service"))?,
        environment: query.environment.parse().map_err(|_| name("environment"))?,
    };
    let groups: Vec<String> = query
        .groups
        .split(',')
        .map(|it| it.trim().to_owned())
        .collect();
    let adopted = desk.import(&path.name, &place, &groups).await?;
    let mut manifest = serde_json::to_value(&adopted.group).unwrap_or_default();
    if let Some(fields) = manifest.as_object_mut() {
        fields.insert("kind".to_owned(), "ServerGroup".into());
    }
    let notes = adopted.notes;
    Ok(Json(ImportedView { manifest, notes }))
}
