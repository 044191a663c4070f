//! Grants: who has which role where.

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    access::{Grant, GrantId, Role, Scope, Subject},
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};
use operations::grants::{Granted, Wanted};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, Paging, limit, listing, time};
use crate::{
    extract::{InDesk, InJson, InPath, InQuery},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(create, list))
        .routes(routes!(remove))
}

/// Who is granted what where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// `signed_in` (all people who are signed in), `person`, `group` or `service_account`, and the name.
    #[schema(value_type = SubjectView)]
    subject: Subject,
    /// `viewer`, `deployer`, `approver`, `operator`, `governor` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// Only for what this team owns; left out: whatever team it is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    team: Option<TeamName>,
    /// Only in environments of this type; left out: whatever type it is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    environment_type: Option<EnvironmentTypeName>,
    /// When the grant ends, RFC 3339; left out: when somebody removes it.
    #[serde(default)]
    until: Option<String>,
}

/// Who has a grant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Subject)]
pub struct SubjectView {
    /// `signed_in`, `person`, `group` or `service_account`.
    pub kind: &'static str,
    /// The name; none where it is all who are signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl From<Subject> for SubjectView {
    fn from(subject: Subject) -> Self {
        let (kind, name) = match subject {
            Subject::SignedIn => ("signed_in", None),
            Subject::Person(name) => ("person", Some(name.to_string())),
            Subject::Group(name) => ("group", Some(name.to_string())),
            Subject::ServiceAccount(name) => ("service_account", Some(name.to_string())),
        };
        Self { kind, name }
    }
}

/// What is granted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantedRole)]
pub struct GrantView {
    /// Which grant it is.
    pub id: String,
    /// Who has it.
    pub subject: SubjectView,
    /// The role.
    pub role: &'static str,
    /// Only for what this team owns.
    pub team: Option<String>,
    /// Only in environments of this type.
    pub environment_type: Option<String>,
    /// When it ends, RFC 3339.
    pub until: Option<String>,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self {
            id: grant.id.0,
            subject: grant.subject.into(),
            role: grant.role.as_str(),
            team: grant.scope.team.map(|name| name.to_string()),
            environment_type: grant.scope.environment_type.map(|name| name.to_string()),
            until: grant.until.map(time),
        }
    }
}

/// A grant, and who made it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantedView {
    #[serde(flatten)]
    grant: GrantView,
    /// When it was made, RFC 3339.
    created_at: String,
    /// Who made it.
    created_by: String,
}

impl From<Granted> for GrantedView {
    fn from(granted: Granted) -> Self {
        Self {
            grant: granted.grant.into(),
            created_at: time(granted.created_at),
            created_by: granted.created_by,
        }
    }
}

/// One grant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct GrantPath {
    /// Its id.
    id: String,
}

/// Grants a role.
#[utoipa::path(
    post,
    operation_id = "create_grant",
    path = "/api/v1/grants",
    tag = "grants",
    request_body = GrantRequest,
    responses(
        (status = 201, body = GrantedView),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "The subject is nobody."),
    )
)]
pub(super) async fn create(
    InDesk(desk): InDesk,
    InJson(body): InJson<GrantRequest>,
) -> Result<Response, Problem> {
    let until = body.until.as_deref().map(instant).transpose()?;
    let scope = Scope {
        team: body.team,
        environment_type: body.environment_type,
    };
    let granted = desk.grant(body.subject, body.role, scope, until).await?;
    Ok((StatusCode::CREATED, Json(GrantedView::from(granted))).into_response())
}

fn instant(text: &str) -> Result<UnixMs, Problem> {
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|at| UnixMs(at.as_millisecond())).map_err(|_| {
        let detail = "the request is invalid";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
            .fault("until", "write a time such as 2027-01-31T00:00:00Z")
    })
}

/// Lists grants.
#[utoipa::path(
    get,
    operation_id = "list_grants",
    path = "/api/v1/grants",
    tag = "grants",
    params(Paging),
    responses((status = 200, body = Listing<GrantedView>, description = "A page, by id."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after = query.cursor.map(GrantId);
    let page = desk
        .grants(&Wanted::default(), after.as_ref(), limit(query.limit)?)
        .await?;
    Ok(listing(&uri, page, GrantedView::from))
}

/// Takes a grant away, starting with the next request.
#[utoipa::path(
    delete,
    operation_id = "remove_grant",
    path = "/api/v1/grants/{id}",
    tag = "grants",
    params(GrantPath),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such grant."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody could manage people any more."),
    )
)]
pub(super) async fn remove(
    InDesk(desk): InDesk,
    InPath(path): InPath<GrantPath>,
) -> Result<StatusCode, Problem> {
    desk.revoke(&GrantId(path.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
