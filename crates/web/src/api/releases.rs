//! Releases: create from a package or a machine image, read, withdraw.

use std::time::Duration;

use axum::{
    Json,
    extract::{DefaultBodyLimit, FromRequest, OriginalUri, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::{
    names::{ServiceName, Version},
    release::{Digest, ImageId, Release},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{
    deployments::Reason,
    wire::{Listing, Paging, cursor, limit, listing, time},
};
use crate::{
    App,
    extract::{InDesk, InJson, InPath, InQuery, media_type},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};
use operations::{
    releases::Created,
    uploads::{Arrival, Upload},
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new()
        .routes(routes!(list))
        .routes(routes!(withdraw))
}

/// Routes without a limit of time or size of their own layer: they have their own.
pub(super) fn slow_routes() -> Guarded {
    Guarded::new().routes(routes!(read, create))
}

/// Largest body that names an image, in bytes, and the time that it may take.
const IMAGE_BODY_LEN_MAX: usize = 4096;
const IMAGE_BODY_MAX: Duration = Duration::from_secs(10);

/// One service.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ServicePath {
    /// Name of the service.
    service: ServiceName,
}

/// One release.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct ReleasePath {
    /// The service.
    service: ServiceName,
    /// The version.
    version: Version,
}

/// What should arrive.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Announced {
    /// SHA-256 of the package in hexadecimal; another package is refused. The header `Content-Digest`
    /// (RFC 9530) with `sha-256` says the same.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    digest: Option<Digest>,
}

/// An immutable version of a service plus what its instances run: a package or a machine image.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Release)]
pub struct ReleaseView {
    /// The service.
    pub service: String,
    /// The version, unique within the service.
    pub version: String,
    /// SHA-256 of the package; null for a machine image.
    pub digest: Option<String>,
    /// Id of the machine image; null for a package.
    pub image: Option<String>,
    /// Size of the package in bytes; 0 for a machine image.
    pub size_bytes: u64,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// Who created it.
    pub created_by: String,
    /// Who withdrew it; null when it is not withdrawn.
    pub withdrawn: Option<WithdrawalView>,
}

/// The machine image of a release.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ImageRelease)]
#[serde(deny_unknown_fields)]
pub struct ImageBody {
    /// Id of the image, such as `ami-0123456789abcdef0`.
    image: ImageId,
}

/// The withdrawal of a release.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawal)]
pub struct WithdrawalView {
    /// When it was withdrawn, RFC 3339.
    pub at: String,
    /// Who withdrew it.
    pub by: String,
    /// The reason, in that person's words.
    pub reason: String,
}

/// A new release, and the upload of its package to the accounts that need it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CreatedRelease)]
pub struct CreatedView {
    /// The release.
    #[serde(flatten)]
    release: ReleaseView,
    /// The uploads, one per account whose instances fetch the package.
    uploads: Vec<UploadView>,
}

/// The upload of a package to the bucket of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadView {
    /// The account.
    pub account: String,
    /// Bucket for packages of the account.
    pub bucket: String,
    /// `there`, `under_way` or `failed`. A failed upload is repeated by the first deployment that needs
    /// it.
    pub arrival: &'static str,
    /// Why it failed; null when it did not.
    pub trouble: Option<String>,
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        let (arrival, trouble) = match upload.arrival {
            Arrival::There => ("there", None),
            Arrival::UnderWay => ("under_way", None),
            Arrival::Failed(why) => ("failed", Some(why)),
        };
        Self {
            account: upload.account.to_string(),
            bucket: upload.bucket,
            arrival,
            trouble,
        }
    }
}

impl From<Release> for ReleaseView {
    fn from(release: Release) -> Self {
        Self {
            service: release.service.to_string(),
            version: release.version.to_string(),
            digest: release.content.digest().map(ToString::to_string),
            image: release.content.image().map(ToString::to_string),
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

/// Lists the releases of a service, newest first.
#[utoipa::path(
    get,
    operation_id = "list_releases",
    path = "/api/v1/services/{service}/releases",
    tag = "releases",
    params(ServicePath, Paging),
    responses((status = 200, body = Listing<ReleaseView>, description = "A page of releases."))
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    OriginalUri(uri): OriginalUri,
    InPath(path): InPath<ServicePath>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Response, Problem> {
    let after = cursor(paging.cursor.as_deref())?;
    let page = desk
        .releases(&path.service, after.as_ref(), limit(paging.limit)?)
        .await?;
    Ok(listing(&uri, page, ReleaseView::from))
}

/// Returns a release.
#[utoipa::path(
    get,
    operation_id = "get_release",
    path = "/api/v1/services/{service}/releases/{version}",
    tag = "releases",
    params(ReleasePath),
    responses(
        (status = 200, body = ReleaseView, description = "The release."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such release."),
    )
)]
pub(super) async fn read(
    InDesk(desk): InDesk,
    InPath(path): InPath<ReleasePath>,
) -> Result<Json<ReleaseView>, Problem> {
    let release = desk.release(&path.service, &path.version).await?;
    Ok(Json(release.into()))
}

/// Creates a release from the package in the body, a gzipped tarball with a Procfile at its root; or,
/// with `Content-Type: application/json`, from a machine image.
#[utoipa::path(
    put,
    operation_id = "create_release",
    path = "/api/v1/services/{service}/releases/{version}",
    tag = "releases",
    params(ReleasePath, Announced),
    request_body(
        description = "A package, or which machine image.",
        content((Vec<u8> = "application/gzip"), (ImageBody = "application/json"))
    ),
    responses(
        (status = 201, body = CreatedView, description = "Created."),
        (status = 200, body = CreatedView, description = "The release exists already, with the same content."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "The version exists already, with other content."),
        (status = 413, body = ProblemDocument, content_type = "application/problem+json", description = "The package is too large."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "Not a tarball that can be unpacked safely, or not the id of an image."),
    )
)]
pub(super) async fn create(
    State(app): State<App>,
    InDesk(desk): InDesk,
    InPath(path): InPath<ReleasePath>,
    InQuery(query): InQuery<Announced>,
    request: Request,
) -> Result<Response, Problem> {
    let release = (path.service, path.version);
    let digest = announced(query, request.headers())?;
    let created = if media_type(request.headers()) == "application/json" {
        let ImageBody { image } = small(request, &app).await?;
        desk.release_image(release, image).await?
    } else {
        let upload = request.into_body().into_data_stream();
        desk.create_release(release, upload, digest.as_ref())
            .await?
    };
    let (status, release) = match created {
        Created::Created(release) => (StatusCode::CREATED, release),
        Created::AlreadyThere(release) => (StatusCode::OK, release),
    };
    let uploads = desk.bring(&release).await?;
    let view = CreatedView {
        release: release.into(),
        uploads: uploads.into_iter().map(UploadView::from).collect(),
    };
    Ok((status, Json(view)).into_response())
}

/// The digest that the query or the header announces.
fn announced(query: Announced, headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let Some(header) = headers.get("content-digest") else {
        return Ok(query.digest);
    };
    let wrong = |detail| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_digest", detail)
            .remedy("send `Content-Digest: sha-256=:BASE64:`, or leave it out")
    };
    let text = header.to_str().unwrap_or_default();
    let members = text.split(',').map(str::trim);
    let value = members
        .filter_map(|member| member.strip_prefix("sha-256=:")?.strip_suffix(':'))
        .next();
    // Other algorithms are for others.
    let Some(value) = value else {
        return Ok(query.digest);
    };
    let bytes = BASE64_STANDARD.decode(value).ok();
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let digest = bytes.map(Digest::from_bytes);
    let digest = digest.ok_or_else(|| wrong("the header Content-Digest has no SHA-256"))?;
    match query.digest.filter(|other| *other != digest) {
        None => Ok(Some(digest)),
        Some(_) => Err(wrong(
            "the query and the header announce different packages",
        )),
    }
}

/// Reads a small body; the limits of uploads are not for it.
async fn small(mut request: Request, app: &App) -> Result<ImageBody, Problem> {
    DefaultBodyLimit::max(IMAGE_BODY_LEN_MAX).apply(&mut request);
    let read = InJson::from_request(request, app);
    match tokio::time::timeout(IMAGE_BODY_MAX, read).await {
        Ok(read) => read.map(|InJson(body)| body),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the request body did not arrive in time",
        )
        .remedy("send it again")),
    }
}

/// Withdraws a release: it can no longer be deployed.
#[utoipa::path(
    post,
    operation_id = "withdraw_release",
    path = "/api/v1/services/{service}/releases/{version}/withdraw",
    tag = "releases",
    params(ReleasePath),
    request_body = Reason,
    responses(
        (status = 200, body = ReleaseView, description = "Withdrawn."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such release."),
    )
)]
pub(super) async fn withdraw(
    InDesk(desk): InDesk,
    InPath(path): InPath<ReleasePath>,
    InJson(body): InJson<Reason>,
) -> Result<Json<ReleaseView>, Problem> {
    let release = (&path.service, &path.version);
    let release = desk.withdraw(release, &body.reason).await?;
    Ok(Json(release.into()))
}
