//! Tokens: made, listed, revoked. A token is in one answer only.

use std::collections::BTreeSet;

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    access::{PersonName, Reach, Right, Scope, TokenId},
    names::{EnvironmentTypeName, TeamName},
};
use operations::tokens::{NewToken, Token, TokenWish};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, Paging, limit, listing, time};
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
        .routes(routes!(revoke))
}

/// What kind of token it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for, unique among its owner's tokens.
    name: String,
    /// The service account whose token it is; left out: one's own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    owner: Option<PersonName>,
    /// Only these rights; left out: all that the owner has.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    rights: Option<BTreeSet<Right>>,
    /// Only for what this team owns.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    team: Option<TeamName>,
    /// Only in environments of this type.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    environment_type: Option<EnvironmentTypeName>,
    /// Only the metrics, for a scraper.
    #[serde(default)]
    metrics: bool,
    /// After how many days it ends, 1 to 365; 90 by default.
    #[serde(default)]
    days: Option<u16>,
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenView {
    /// Which one it is.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Whether it reads metrics and nothing else.
    pub metrics: bool,
    /// The only rights that it reaches; null: all that the owner has.
    pub rights: Option<Vec<&'static str>>,
    /// Only for what this team owns.
    pub team: Option<String>,
    /// Only in environments of this type.
    pub environment_type: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Who made it.
    pub created_by: String,
    /// When it ends, RFC 3339.
    pub ends_at: String,
    /// The day on which it was used the last time, RFC 3339.
    pub used_on: Option<String>,
    /// From where.
    pub used_from: Option<String>,
}

/// A new token.
#[derive(Serialize, ToSchema)]
#[schema(as = NewToken)]
pub struct NewTokenView {
    #[serde(flatten)]
    about: TokenView,
    /// The token. It is shown this once and cannot be read again.
    token: String,
}

/// One token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TokenPath {
    /// Its id.
    id: String,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        let (rights, scope) = match &token.reach {
            Reach::Full | Reach::Scrape => (None, Scope::default()),
            Reach::Narrow { rights, scope } => (Some(rights), scope.clone()),
        };
        Self {
            owner: token.owner().to_string(),
            metrics: token.reach == Reach::Scrape,
            rights: rights.map(|rights| rights.iter().map(|right| right.as_str()).collect()),
            team: scope.team.map(|name| name.to_string()),
            environment_type: scope.environment_type.map(|name| name.to_string()),
            id: token.id.0,
            name: token.name,
            created_at: time(token.created_at),
            created_by: token.created_by,
            ends_at: time(token.ends_at),
            used_on: token.used_on.map(time),
            used_from: token.used_from,
        }
    }
}

impl From<NewToken> for NewTokenView {
    fn from(new: NewToken) -> Self {
        Self {
            token: new.secret.reveal().to_owned(),
            about: new.token.into(),
        }
    }
}

/// Creates a token. It reaches at most what its owner may do, and what the credential that asks reaches.
#[utoipa::path(
    post,
    operation_id = "create_token",
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body = TokenRequest,
    responses(
        (status = 201, body = NewTokenView, description = "The new token. It is in this answer only; a repeated request does not return it again."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service account."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The owner has a token of that name already."),
    )
)]
pub(super) async fn create(
    InDesk(desk): InDesk,
    InJson(body): InJson<TokenRequest>,
) -> Result<Response, Problem> {
    let wish = TokenWish {
        name: body.name,
        owner: body.owner,
        rights: body.rights,
        scope: Scope {
            team: body.team,
            environment_type: body.environment_type,
        },
        scrapes: body.metrics,
        days: body.days,
    };
    let new = desk.create_token(wish).await?;
    let mut response = (StatusCode::CREATED, Json(NewTokenView::from(new))).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

/// Lists tokens: all of them for who may administer, otherwise one's own.
#[utoipa::path(
    get,
    operation_id = "list_tokens",
    path = "/api/v1/tokens",
    tag = "tokens",
    params(Paging),
    responses((status = 200, body = Listing<TokenView>, description = "A page of tokens, by id."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after = query.cursor.map(TokenId);
    let page = desk.tokens(after.as_ref(), limit(query.limit)?).await?;
    Ok(listing(&uri, page, TokenView::from))
}

/// Revokes a token, starting with the next request.
#[utoipa::path(
    delete,
    operation_id = "revoke_token",
    path = "/api/v1/tokens/{id}",
    tag = "tokens",
    params(TokenPath),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such token."),
    )
)]
pub(super) async fn revoke(
    InDesk(desk): InDesk,
    InPath(path): InPath<TokenPath>,
) -> Result<StatusCode, Problem> {
    desk.revoke_token(&TokenId(path.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
