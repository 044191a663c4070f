//! People and service accounts: added, invited, disabled.

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    access::{PersonName, Who},
    names::TeamName,
};
use operations::people::{Invited, Person, Wanted};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, Paging, cursor, limit, listing, time};
use crate::{
    extract::{InDesk, InJson, InPath, InQuery},
    idempotency::NotKept,
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(create_account))
        .routes(routes!(invite))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(end_sessions))
}

/// Who is added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonRequest {
    /// The name, which audit events will show.
    #[schema(value_type = String)]
    name: PersonName,
}

/// Which service account is added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountRequest {
    /// The name, which audit events will show.
    #[schema(value_type = String)]
    name: PersonName,
    /// The team whose service account it is.
    #[schema(value_type = String)]
    team: TeamName,
}

/// A person or a service account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonView {
    /// The name.
    pub name: String,
    /// `person` or `service_account`. A service account cannot sign in and cannot approve.
    pub kind: &'static str,
    /// The team of a service account.
    pub team: Option<String>,
    /// Where the identity is from: `local`, or the name of a directory.
    pub provider: String,
    /// Whether there is a password.
    pub has_password: bool,
    /// When they were added, RFC 3339.
    pub created_at: String,
    /// Who added them.
    pub created_by: String,
    /// When they signed in the last time, RFC 3339.
    pub signed_in_at: Option<String>,
    /// Since when they are disabled, RFC 3339.
    pub disabled_at: Option<String>,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        Self {
            name: person.name().to_string(),
            kind: match person.who {
                Who::Person(_) => "person",
                Who::ServiceAccount(_) => "service_account",
            },
            team: person.team.map(|team| team.to_string()),
            provider: person.provider,
            has_password: person.has_password,
            created_at: time(person.created_at),
            created_by: person.created_by,
            signed_in_at: person.signed_in_at.map(time),
            disabled_at: person.disabled_at.map(time),
        }
    }
}

/// A person, and the code with which they come in once.
#[derive(Serialize, ToSchema)]
#[schema(as = Invited)]
pub struct InvitedView {
    #[serde(flatten)]
    person: PersonView,
    /// The code. It counts once, for a day, and is in this answer only.
    code: String,
}

impl From<Invited> for InvitedView {
    fn from(invited: Invited) -> Self {
        Self {
            code: invited.code.reveal().to_owned(),
            person: invited.person.into(),
        }
    }
}

/// One person.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PersonPath {
    /// The name.
    #[param(value_type = String)]
    name: PersonName,
}

fn with_secret(body: impl Serialize) -> Response {
    let mut response = (StatusCode::CREATED, Json(body)).into_response();
    response.extensions_mut().insert(NotKept);
    response
}

/// Adds a person, who may nothing yet, and invites them.
#[utoipa::path(
    post,
    operation_id = "create_person",
    path = "/api/v1/people",
    tag = "people",
    request_body = PersonRequest,
    responses(
        (status = 201, body = InvitedView, description = "Added. The code is in this answer only; a repeated request does not return it again."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The name is taken."),
    )
)]
pub(super) async fn create(
    InDesk(desk): InDesk,
    InJson(body): InJson<PersonRequest>,
) -> Result<Response, Problem> {
    let invited = desk.create_person(body.name).await?;
    Ok(with_secret(InvitedView::from(invited)))
}

/// Lists people and service accounts.
#[utoipa::path(
    get,
    operation_id = "list_people",
    path = "/api/v1/people",
    tag = "people",
    params(Paging),
    responses((status = 200, body = Listing<PersonView>, description = "A page, by name."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after: Option<PersonName> = cursor(query.cursor.as_deref())?;
    let page = desk
        .people(&Wanted::default(), after.as_ref(), limit(query.limit)?)
        .await?;
    Ok(listing(&uri, page, PersonView::from))
}

/// Gets a person or a service account.
#[utoipa::path(
    get,
    operation_id = "get_person",
    path = "/api/v1/people/{name}",
    tag = "people",
    params(PersonPath),
    responses(
        (status = 200, body = PersonView),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
    )
)]
pub(super) async fn get(
    InDesk(desk): InDesk,
    InPath(path): InPath<PersonPath>,
) -> Result<Json<PersonView>, Problem> {
    Ok(Json(desk.person(&path.name).await?.into()))
}

/// Adds a service account of a team, which may nothing yet.
#[utoipa::path(
    post,
    operation_id = "create_service_account",
    path = "/api/v1/service-accounts",
    tag = "people",
    request_body = ServiceAccountRequest,
    responses(
        (status = 201, body = PersonView),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such team."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The name is taken."),
    )
)]
pub(super) async fn create_account(
    InDesk(desk): InDesk,
    InJson(body): InJson<ServiceAccountRequest>,
) -> Result<Response, Problem> {
    let made = desk.create_service_account(body.name, body.team).await?;
    Ok((StatusCode::CREATED, Json(PersonView::from(made))).into_response())
}

/// Makes a new code with which a person signs in once; the one before no longer counts.
#[utoipa::path(
    post,
    operation_id = "invite_person",
    path = "/api/v1/people/{name}/invitation",
    tag = "people",
    params(PersonPath),
    responses(
        (status = 201, body = InvitedView, description = "The code is in this answer only."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
    )
)]
pub(super) async fn invite(
    InDesk(desk): InDesk,
    InPath(path): InPath<PersonPath>,
) -> Result<Response, Problem> {
    let invited = desk.invite(&path.name).await?;
    Ok(with_secret(InvitedView::from(invited)))
}

/// Disables a person or a service account: sessions end, tokens no longer count.
#[utoipa::path(
    post,
    operation_id = "disable_person",
    path = "/api/v1/people/{name}/disable",
    tag = "people",
    params(PersonPath),
    responses(
        (status = 200, body = PersonView),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Nobody could manage people any more."),
    )
)]
pub(super) async fn disable(
    InDesk(desk): InDesk,
    InPath(path): InPath<PersonPath>,
) -> Result<Json<PersonView>, Problem> {
    Ok(Json(desk.set_disabled(&path.name, true).await?.into()))
}

/// Enables a person or a service account again; their tokens count again.
#[utoipa::path(
    post,
    operation_id = "enable_person",
    path = "/api/v1/people/{name}/enable",
    tag = "people",
    params(PersonPath),
    responses(
        (status = 200, body = PersonView),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
    )
)]
pub(super) async fn enable(
    InDesk(desk): InDesk,
    InPath(path): InPath<PersonPath>,
) -> Result<Json<PersonView>, Problem> {
    Ok(Json(desk.set_disabled(&path.name, false).await?.into()))
}

/// How many there were.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ended {
    /// Sessions that ended.
    pub ended: u64,
}

/// Ends all sessions of a person.
#[utoipa::path(
    delete,
    operation_id = "end_sessions_of_person",
    path = "/api/v1/people/{name}/sessions",
    tag = "people",
    params(PersonPath),
    responses(
        (status = 200, body = Ended),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
    )
)]
pub(super) async fn end_sessions(
    InDesk(desk): InDesk,
    InPath(path): InPath<PersonPath>,
) -> Result<Json<Ended>, Problem> {
    let ended = desk.end_sessions_of(&path.name).await?;
    Ok(Json(Ended { ended }))
}
