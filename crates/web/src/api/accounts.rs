//! Accounts as they are: check-ups, the permissions they need, and what stands there already.

use axum::Json;
use domain::{checkup::Check, names::Place};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    extract::{InDesk, InPath, InQuery},
    problem::{Problem, ProblemDocument},
};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(checkup))
        .routes(routes!(policy))
        .routes(routes!(import))
}

/// Which account.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AccountPath {
    /// The name of an account.
    name: String,
}

/// What a check-up found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Checkup)]
pub struct CheckupView {
    /// The account.
    pub account: String,
    /// Each thing that was looked at.
    pub checks: Vec<CheckView>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct CheckView {
    /// What, such as `credentials`.
    pub name: String,
    /// `ok`, `unchecked` (it cannot be found out without changing something), `warning` (it works,
    /// and somebody should look at it) or `failed` (deployments here will fail).
    pub verdict: String,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl From<Check> for CheckView {
    fn from(check: Check) -> Self {
        Self {
            name: check.name,
            verdict: check.verdict.word().to_owned(),
            found: check.found,
            remedy: check.remedy,
        }
    }
}

/// Looks at everything that deployments to an account depend on: credentials, permissions, the way
/// there, quotas, clocks, and each server group. Changes nothing.
#[utoipa::path(
    get,
    operation_id = "check_account",
    path = "/api/v1/accounts/{name}/checkup",
    tag = "accounts",
    params(AccountPath),
    responses(
        (status = 200, body = CheckupView, description = "What was found, well or not."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such account."),
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

/// The least that Pointsman needs in an account, as an IAM policy.
#[utoipa::path(
    get,
    operation_id = "get_account_policy",
    path = "/api/v1/accounts/{name}/policy",
    tag = "accounts",
    params(AccountPath),
    responses(
        (status = 200, body = Object, description = "An IAM policy document."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such account."),
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
    /// One Auto Scaling group, or two with a comma between: that of blue first.
    groups: String,
    /// The service that runs there.
    service: String,
    /// The environment it runs in.
    environment: String,
}

/// A manifest that was read off what is there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Imported)]
pub struct ImportedView {
    /// The manifest of a server group.
    #[schema(value_type = Object)]
    pub manifest: Value,
    /// What stands against deployments there, or must be completed by hand.
    pub notes: Vec<String>,
}

/// Reads Auto Scaling groups that exist into a manifest that adopts them. Changes nothing.
#[utoipa::path(
    get,
    operation_id = "import_groups",
    path = "/api/v1/accounts/{name}/import",
    tag = "accounts",
    params(AccountPath, ImportQuery),
    responses(
        (status = 200, body = ImportedView, description = "The manifest, which nobody has applied yet."),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "No group, more than two, or no names."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such account."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The provider is in trouble, or there is no such group."),
    )
)]
pub(super) async fn import(
    InDesk(desk): InDesk,
    InPath(path): InPath<AccountPath>,
    InQuery(query): InQuery<ImportQuery>,
) -> Result<Json<ImportedView>, Problem> {
    let name = |field: &str| {
        let detail = format!("{field} is not a name that a {field} can have");
        Problem::new(axum::http::StatusCode::BAD_REQUEST, "invalid", detail)
            .remedy("lower-case letters, digits and hyphens")
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
