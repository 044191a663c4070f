//! Groups of people, to whom something can be granted at once.

use axum::{
    Json,
    extract::OriginalUri,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::access::{GroupName, PersonName};
use operations::groups::{Group, ProviderGroup};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::wire::{Listing, Paging, cursor, limit, listing, time};
use crate::{
    extract::{InDesk, InJson, InPath, InQuery},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(create, list))
        .routes(routes!(delete))
        .routes(routes!(members))
        .routes(routes!(add, remove))
}

/// Which group is made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRequest {
    /// Its name.
    #[schema(value_type = String)]
    name: GroupName,
    /// The identity provider that says who is in it; nobody is added by hand then.
    provider: Option<String>,
    /// What that provider calls it, as it is in its tokens; the name when it is left out.
    provider_group: Option<String>,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Where its members are from: `local`, or the name of an identity provider.
    pub provider: String,
    /// What that provider calls it; absent for a group of our own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_group: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Who made it.
    pub created_by: String,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self {
            name: group.name.to_string(),
            provider: group.provider,
            provider_group: group.provider_group,
            created_at: time(group.created_at),
            created_by: group.created_by,
        }
    }
}

/// One group.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct GroupPath {
    /// Its name.
    #[param(value_type = String)]
    name: GroupName,
}

/// One member of a group.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct MemberPath {
    /// The name of the group.
    #[param(value_type = String)]
    name: GroupName,
    /// The name of the person.
    #[param(value_type = String)]
    person: PersonName,
}

/// Makes a group.
#[utoipa::path(
    post,
    operation_id = "create_group",
    path = "/api/v1/groups",
    tag = "groups",
    request_body = GroupRequest,
    responses(
        (status = 201, body = GroupView),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It exists."),
    )
)]
pub(super) async fn create(
    InDesk(desk): InDesk,
    InJson(body): InJson<GroupRequest>,
) -> Result<Response, Problem> {
    let of = body.provider.map(|provider| ProviderGroup {
        name: body.provider_group.unwrap_or_else(|| body.name.to_string()),
        provider,
    });
    let group = desk.create_group(body.name, of).await?;
    Ok((StatusCode::CREATED, Json(GroupView::from(group))).into_response())
}

/// Lists groups.
#[utoipa::path(
    get,
    operation_id = "list_groups",
    path = "/api/v1/groups",
    tag = "groups",
    params(Paging),
    responses((status = 200, body = Listing<GroupView>, description = "A page, by name."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InQuery(query): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after: Option<GroupName> = cursor(query.cursor.as_deref())?;
    let page = desk.groups(after.as_ref(), limit(query.limit)?).await?;
    Ok(listing(&uri, page, GroupView::from))
}

/// Removes a group to which nothing is granted.
#[utoipa::path(
    delete,
    operation_id = "delete_group",
    path = "/api/v1/groups/{name}",
    tag = "groups",
    params(GroupPath),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such group."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Something is granted to it."),
    )
)]
pub(super) async fn delete(
    InDesk(desk): InDesk,
    InPath(path): InPath<GroupPath>,
) -> Result<StatusCode, Problem> {
    desk.delete_group(&path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the members of a group.
#[utoipa::path(
    get,
    operation_id = "list_members",
    path = "/api/v1/groups/{name}/members",
    tag = "groups",
    params(GroupPath),
    responses(
        (status = 200, body = Vec<String>, description = "Names, in their order."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such group."),
    )
)]
pub(super) async fn members(
    InDesk(desk): InDesk,
    InPath(path): InPath<GroupPath>,
) -> Result<Json<Vec<String>>, Problem> {
    let members = desk.members(&path.name).await?.into_iter();
    Ok(Json(members.map(|name| name.to_string()).collect()))
}

/// Adds a person to a group.
#[utoipa::path(
    put,
    operation_id = "add_member",
    path = "/api/v1/groups/{name}/members/{person}",
    tag = "groups",
    params(MemberPath),
    responses(
        (status = 204, description = "The person is a member."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such group or person."),
    )
)]
pub(super) async fn add(
    InDesk(desk): InDesk,
    InPath(path): InPath<MemberPath>,
) -> Result<StatusCode, Problem> {
    desk.add_member(&path.name, &path.person).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a person from a group.
#[utoipa::path(
    delete,
    operation_id = "remove_member",
    path = "/api/v1/groups/{name}/members/{person}",
    tag = "groups",
    params(MemberPath),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such group, or the person is not in it."),
    )
)]
pub(super) async fn remove(
    InDesk(desk): InDesk,
    InPath(path): InPath<MemberPath>,
) -> Result<StatusCode, Problem> {
    desk.remove_member(&path.name, &path.person).await?;
    Ok(StatusCode::NO_CONTENT)
}
