//! Releases: upload, read, withdraw.

use axum::{
    Json,
    body::Body,
    extract::{OriginalUri, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use domain::{
    names::{ServiceName, Version},
    release::Release,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    deployments::Reason,
    extract::{InActor, InJson, InPath, InQuery},
    problem::{Problem, ProblemDocument},
    wire::{Listing, Paging, cursor, limit, listing, time},
};
use crate::operations::releases::Uploaded;

/// One service.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ServicePath {
    /// Its name.
    #[param(value_type = String)]
    service: ServiceName,
}

/// One release.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ReleasePath {
    /// The service.
    #[param(value_type = String)]
    service: ServiceName,
    /// The version.
    #[param(value_type = String)]
    version: Version,
}

/// An immutable version of a service plus its artifact.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Release)]
pub struct ReleaseView {
    /// The service.
    pub service: String,
    /// The version, unique within the service.
    pub version: String,
    /// SHA-256 of the artifact.
    pub digest: String,
    /// Size of the artifact in bytes.
    pub size_bytes: u64,
    /// RFC 3339.
    pub created_at: String,
    /// Who uploaded it.
    pub created_by: String,
    /// Set when somebody withdrew it.
    pub withdrawn: Option<WithdrawalView>,
}

/// Who took a release out of use, when and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawal)]
pub struct WithdrawalView {
    /// RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

impl From<Release> for ReleaseView {
    fn from(release: Release) -> Self {
        Self {
            service: release.service.to_string(),
            version: release.version.to_string(),
            digest: release.digest.to_string(),
            size_bytes: release.size_bytes,
            created_at: time(release.created_at),
            created_by: release.created_by,
            withdrawn: release.withdrawn.map(|withdrawal| WithdrawalView {
                at: time(withdrawal.at),
                by: withdrawal.by,
                reason: withdrawal.reason,
            }),
        }
    }
}

/// The releases of a service, newest first.
#[utoipa::path(
    get,
    operation_id = "list_releases",
    path = "/api/v1/services/{service}/releases",
    tag = "releases",
    params(ServicePath, Paging),
    responses((status = 200, body = Listing<ReleaseView>, description = "One page."))
)]
pub(super) async fn list(
    State(app): State<App>,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<ServicePath>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after = cursor(paging.cursor.as_deref())?;
    let page = app
        .operations
        .releases(&path.service, after.as_ref(), limit(paging.limit)?)
        .await?;
    Ok(listing(&uri, page, ReleaseView::from))
}

/// One release.
#[utoipa::path(
    get,
    operation_id = "get_release",
    path = "/api/v1/services/{service}/releases/{version}",
    tag = "releases",
    params(ReleasePath),
    responses(
        (status = 200, body = ReleaseView, description = "It."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such release."),
    )
)]
pub(super) async fn read(
    State(app): State<App>,
    InPath(path): InPath<ReleasePath>,
) -> Result<Json<ReleaseView>, Problem> {
    let release = app.operations.release(&path.service, &path.version).await?;
    Ok(Json(release.into()))
}

/// Uploads the artifact of a release: a gzipped tarball with a Procfile at its root.
#[utoipa::path(
    put,
    operation_id = "create_release",
    path = "/api/v1/services/{service}/releases/{version}",
    tag = "releases",
    params(ReleasePath),
    request_body(content = Vec<u8>, content_type = "application/gzip"),
    responses(
        (status = 201, body = ReleaseView, description = "It is a new release."),
        (status = 200, body = ReleaseView, description = "The same content is there already."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The version has other content."),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "It is too large."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "It is no tarball that can be unpacked safely."),
    )
)]
pub(super) async fn upload(
    State(app): State<App>,
    InActor(actor): InActor,
    InPath(path): InPath<ReleasePath>,
    body: Body,
) -> Result<Response, Problem> {
    let release = (path.service, path.version);
    let upload = body.into_data_stream();
    let uploaded = app
        .operations
        .create_release(&actor, release, upload)
        .await?;
    let (status, release) = match uploaded {
        Uploaded::Created(release) => (StatusCode::CREATED, release),
        Uploaded::AlreadyThere(release) => (StatusCode::OK, release),
    };
    Ok((status, Json(ReleaseView::from(release))).into_response())
}

/// Takes a release out of use: it cannot be deployed any more.
#[utoipa::path(
    post,
    operation_id = "withdraw_release",
    path = "/api/v1/services/{service}/releases/{version}/withdraw",
    tag = "releases",
    params(ReleasePath),
    request_body = Reason,
    responses(
        (status = 200, body = ReleaseView, description = "It is out of use."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such release."),
    )
)]
pub(super) async fn withdraw(
    State(app): State<App>,
    InActor(actor): InActor,
    InPath(path): InPath<ReleasePath>,
    InJson(body): InJson<Reason>,
) -> Result<Json<ReleaseView>, Problem> {
    let release = (&path.service, &path.version);
    let release = app
        .operations
        .withdraw(&actor, release, &body.reason)
        .await?;
    Ok(Json(release.into()))
}
