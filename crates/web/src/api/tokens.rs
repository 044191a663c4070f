//! Tokens of people: made, listed, revoked. A token is in one answer only.

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::access::PersonName;
use operations::tokens::{Holder, NewToken};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::wire::{Listing, limit, listing, time};
use crate::{
    App,
    extract::{InDesk, InJson, InPath, InQuery},
    idempotency::NotKept,
    problem::{Problem, ProblemDocument},
};

/// The routes of this noun.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
}

/// Who gets a token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// The name of the person, which audit events will show.
    #[schema(value_type = String)]
    name: PersonName,
}

/// A person with a token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenView {
    /// The name of the person.
    pub name: String,
    /// When the token was created.
    pub created_at: String,
    /// Who created it.
    pub created_by: String,
}

/// A new token.
#[derive(Serialize, ToSchema)]
#[schema(as = NewToken)]
pub struct NewTokenView {
    #[serde(flatten)]
    holder: TokenView,
    /// The token. It is shown this once and cannot be read again.
    token: String,
}

/// One person.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct TokenPath {
    /// The name of the person.
    #[param(value_type = String)]
    name: PersonName,
}

/// Which page of tokens.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct TokensQuery {
    /// Start of the page: `next` of the previous page.
    #[param(value_type = Option<String>)]
    pub cursor: Option<PersonName>,
    /// Maximum number of rows, 1 to 500; 50 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

impl From<Holder> for TokenView {
    fn from(holder: Holder) -> Self {
        Self {
            name: holder.person.to_string(),
            created_at: time(holder.created_at),
            created_by: holder.created_by,
        }
    }
}

impl From<NewToken> for NewTokenView {
    fn from(new: NewToken) -> Self {
        Self {
            holder: new.holder.into(),
            token: new.token,
        }
    }
}

/// Creates a token for a person.
#[utoipa::path(
    post,
    operation_id = "create_token",
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body = TokenRequest,
    responses(
        (status = 201, body = NewTokenView, description = "The new token. It is in this answer only; a repeated request does not return it again."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The person has a token already."),
    )
)]
pub(super) async fn create(
    InDesk(desk): InDesk,
    InJson(body): InJson<TokenRequest>,
) -> Result<Response, Problem> {
    let new = desk.create_token(body.name).await?;
    let mut response = (StatusCode::CREATED, Json(NewTokenView::from(new))).into_response();
    response.extensions_mut().insert(NotKept);
    Ok(response)
}

/// Lists the people who have tokens.
#[utoipa::path(
    get,
    operation_id = "list_tokens",
    path = "/api/v1/tokens",
    tag = "tokens",
    params(TokensQuery),
    responses((status = 200, body = Listing<TokenView>, description = "A page of tokens, by name."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<TokensQuery>,
) -> Result<Response, Problem> {
    let limit = limit(query.limit)?;
    let page = desk.tokens(query.cursor.as_ref(), limit).await?;
    Ok(listing(&uri, page, TokenView::from))
}

/// Revokes the token of a person, starting with the next request.
#[utoipa::path(
    delete,
    operation_id = "revoke_token",
    path = "/api/v1/tokens/{name}",
    tag = "tokens",
    params(TokenPath),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "The person has no token."),
    )
)]
pub(super) async fn revoke(
    InDesk(desk): InDesk,
    InPath(path): InPath<TokenPath>,
) -> Result<StatusCode, Problem> {
    desk.revoke_token(&path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
