//! What is one's own: who one is, one's sessions, a way in for the command line and for a browser.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::access::{PersonName, Right, SessionId, Via, Who};
use operations::{
    sessions::{Me, Session},
    sign_in::Password,
    tokens::NewToken,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{grants::GrantView, people::Ended, tokens::NewTokenView, wire::time};
use crate::{
    App,
    extract::{InDesk, InFrom, InJson, InPath, InQuery},
    idempotency::NotKept,
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(me))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
        .routes(routes!(link))
        .routes(routes!(may))
}

/// What needs no token: it gives one.
pub(super) fn open_routes() -> Guarded {
    Guarded::new().routes(routes!(log_in))
}

/// Who somebody is, and what is granted to them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    /// The name.
    pub name: String,
    /// `person` or `service_account`.
    pub kind: &'static str,
    /// By which credential: `owner`, `token` or `session`.
    pub via: &'static str,
    /// The grants that concern them, through groups too.
    pub grants: Vec<GrantView>,
}

impl From<Me> for MeView {
    fn from(me: Me) -> Self {
        let (kind, name) = match me.who {
            Who::Person(name) => ("person", name),
            Who::ServiceAccount(name) => ("service_account", name),
        };
        Self {
            name: name.to_string(),
            kind,
            via: match me.via {
                Via::Owner => "owner",
                Via::Token(_) => "token",
                Via::Session(_) => "session",
            },
            grants: me.grants.into_iter().map(GrantView::from).collect(),
        }
    }
}

/// A session of a browser.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView {
    /// Which one it is.
    pub id: String,
    /// When it began, RFC 3339.
    pub created_at: String,
    /// When it was used the last time, RFC 3339.
    pub seen_at: String,
    /// When it ends at the latest, RFC 3339.
    pub ends_at: String,
    /// The address from which it was used the last time.
    pub from: String,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id.0,
            created_at: time(session.created_at),
            seen_at: time(session.seen_at),
            ends_at: time(session.ends_at),
            from: session.from,
        }
    }
}

/// Tells who one is, and what is granted.
#[utoipa::path(
    get,
    operation_id = "get_me",
    path = "/api/v1/me",
    tag = "me",
    responses((status = 200, body = MeView))
)]
pub(super) async fn me(InDesk(desk): InDesk) -> Result<Json<MeView>, Problem> {
    Ok(Json(desk.me().await?.into()))
}

/// Lists one's own sessions, newest first.
#[utoipa::path(
    get,
    operation_id = "list_my_sessions",
    path = "/api/v1/me/sessions",
    tag = "me",
    responses((status = 200, body = Vec<SessionView>))
)]
pub(super) async fn sessions(InDesk(desk): InDesk) -> Result<Json<Vec<SessionView>>, Problem> {
    let sessions = desk.my_sessions().await?.into_iter();
    Ok(Json(sessions.map(SessionView::from).collect()))
}

/// Ends all of one's own sessions.
#[utoipa::path(
    delete,
    operation_id = "end_my_sessions",
    path = "/api/v1/me/sessions",
    tag = "me",
    responses((status = 200, body = Ended))
)]
pub(super) async fn end_sessions(InDesk(desk): InDesk) -> Result<Json<Ended>, Problem> {
    let ended = desk.sign_out_everywhere().await?;
    Ok(Json(Ended { ended }))
}

/// One session.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct SessionPath {
    /// Its id.
    id: String,
}

/// Ends one of one's own sessions.
#[utoipa::path(
    delete,
    operation_id = "end_my_session",
    path = "/api/v1/me/sessions/{id}",
    tag = "me",
    params(SessionPath),
    responses(
        (status = 204, description = "Ended."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such session of yours."),
    )
)]
pub(super) async fn end_session(
    InDesk(desk): InDesk,
    InPath(path): InPath<SessionPath>,
) -> Result<StatusCode, Problem> {
    desk.end_my_session(&SessionId(path.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A code that signs in to a browser once.
#[derive(Serialize, ToSchema)]
pub struct SignInLink {
    /// The code. It counts once, for five minutes.
    code: String,
    /// The page of the portal that signs in with it.
    url: String,
}

/// Makes a code with which one signs in to a browser, once, within five minutes.
#[utoipa::path(
    post,
    operation_id = "create_sign_in_link",
    path = "/api/v1/me/sign-in-link",
    tag = "me",
    responses(
        (status = 201, body = SignInLink, description = "The code is in this answer only."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "A service account, or a token that does not reach everything."),
    )
)]
pub(super) async fn link(
    State(app): State<App>,
    InDesk(desk): InDesk,
) -> Result<Response, Problem> {
    let code = desk.make_sign_in_link().await?.reveal().to_owned();
    let url = format!("{}/sign-in/link?code={code}", app.portal.urls.first());
    let mut response = (StatusCode::CREATED, Json(SignInLink { code, url })).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

/// Who may do what where.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MayQuery {
    /// Whether this person or service account may.
    #[param(value_type = String)]
    person: PersonName,
    /// Which right, such as `deploy`.
    #[param(value_type = String)]
    right: Right,
    /// Where: `SERVICE.ENVIRONMENT`, `service/NAME`, `environment/NAME`, `team/NAME`; left out: for the
    /// whole installation.
    #[serde(default)]
    place: Option<String>,
}

/// Whether somebody may do something, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct MayAnswer {
    /// Whether they may.
    pub may: bool,
    /// The grant that gives it.
    pub grant: Option<GrantView>,
    /// A sentence for people.
    pub sentence: String,
}

/// Tells whether somebody may do something somewhere, and by which grant. About others only who may administer
/// can ask.
#[utoipa::path(
    get,
    operation_id = "may",
    path = "/api/v1/may",
    tag = "me",
    params(MayQuery),
    responses(
        (status = 200, body = MayAnswer),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such person."),
    )
)]
pub(super) async fn may(
    InDesk(desk): InDesk,
    InQuery(query): InQuery<MayQuery>,
) -> Result<Json<MayAnswer>, Problem> {
    let place = query.place.as_deref().unwrap_or_default();
    let answer = desk.may_they(&query.person, query.right, place).await?;
    Ok(Json(MayAnswer {
        may: answer.grant.is_some(),
        sentence: answer.sentence,
        grant: answer.grant.map(GrantView::from),
    }))
}

/// How somebody comes in: with a name and a password, or with a code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The name; left out with a code.
    #[serde(default)]
    name: Option<String>,
    /// The password; left out with a code.
    #[serde(default)]
    password: Option<String>,
    /// The code of an invitation.
    #[serde(default)]
    code: Option<String>,
    /// What the token is for, such as the name of the machine.
    token_name: String,
}

/// Gives a person a token of their own for the command line, which ends after 30 days.
#[utoipa::path(
    post,
    operation_id = "log_in",
    path = "/api/v1/logins",
    tag = "me",
    request_body = LogIn,
    security(()),
    responses(
        (status = 201, body = NewTokenView, description = "The token. It is in this answer only."),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json", description = "The name, the password or the code is wrong."),
        (status = 429, body = ProblemDocument, content_type = "application/problem+json", description = "Too many attempts."),
    )
)]
pub(super) async fn log_in(
    State(app): State<App>,
    InFrom(from): InFrom,
    InJson(body): InJson<LogIn>,
) -> Result<Response, Problem> {
    let name = body.token_name.as_str();
    let new: NewToken = match (body.code, body.name, body.password) {
        (Some(code), None, None) => app.operations.log_in_by_code(&code, from, name).await?,
        (None, Some(person), Some(password)) => {
            let password = Password::typed(password);
            app.operations.log_in(&person, password, from, name).await?
        }
        _ => {
            let detail = "send either a code, or a name and a password";
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                detail,
            ));
        }
    };
    let mut response = (StatusCode::CREATED, Json(NewTokenView::from(new))).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}
