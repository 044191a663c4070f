//! Machine images, and what patching to one would do.

use axum::Json;
use domain::{
    image::{PatchTo, Ranked},
    names::{AccountName, EnvironmentName, ServiceName},
    release::ImageId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{deployments::PreviewView, wire::time};
use crate::{
    extract::{InDesk, InJson, InQuery},
    problem::{Problem, ProblemDocument, TroubleView},
    rows::Guarded,
};
use operations::{
    images::AccountImages,
    patches::{PatchGroup, PatchVerdict, PatchWish},
};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(list)).routes(routes!(plan))
}

/// Whose images.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesQuery {
    /// Only images of this account.
    #[param(value_type = Option<String>)]
    pub account: Option<AccountName>,
}

/// The images of the accounts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Images)]
pub struct ImagesView {
    /// One item per account on AWS.
    pub accounts: Vec<AccountImagesView>,
}

/// The images of one account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountImages)]
pub struct AccountImagesView {
    /// The account.
    pub account: String,
    /// When the images were listed, RFC 3339; at most a minute ago.
    pub listed_at: String,
    /// Whether there are more images than are listed.
    pub truncated: bool,
    /// Why the images are not known; null when they are.
    pub trouble: Option<TroubleView>,
    /// The images, by kind and newest first.
    pub images: Vec<ImageView>,
}

/// A machine image, and how recent it is among those of its kind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Image)]
pub struct ImageView {
    /// Id of the image.
    pub id: String,
    /// Name of the image.
    pub name: String,
    /// The part of its name before the version; the whole name when there is none.
    pub kind: String,
    /// The version at the end of its name, `x.y.z`; null when there is none.
    pub version: Option<String>,
    /// `available`, `pending`, `failed` and others.
    pub state: String,
    /// Whether it is marked stable, by a tag or a description `stable`.
    pub stable: bool,
    /// Rank within its kind; 1 is the newest.
    pub rank: u32,
    /// Whether it is the newest of its kind.
    pub is_latest: bool,
    /// Whether it is the newest available stable image of its kind.
    pub is_latest_stable: bool,
    /// Whole days since the next newer stable image of its kind was released.
    pub days_behind: u64,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// When it was released, RFC 3339: the time in its stable tag, else when it was created.
    pub released_at: String,
    /// `x86_64`, `arm64`.
    pub architecture: String,
    /// `linux` or `windows`.
    pub platform: String,
    /// Whether it is shared by another account.
    pub shared: bool,
    /// Number of server groups in the catalogue whose live slice runs on it.
    pub server_groups: u32,
}

/// What to patch, and to which image.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchPlanRequest {
    /// The id of an image, or `latest`: for each group the newest stable image of its kind.
    #[schema(pattern = "^(latest|ami-[0-9a-f]{8,17})$")]
    ami: String,
    /// Only server groups in this environment.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    /// Only server groups of this service.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    service: Option<ServiceName>,
}

/// What a patch would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatchPlan)]
pub struct PatchPlanView {
    /// Every server group in scope.
    pub groups: Vec<PatchGroupView>,
}

/// What a patch would do to a server group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PatchGroup)]
pub struct PatchGroupView {
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The release that is live and stays live; null when nothing is.
    pub version: Option<String>,
    /// Whether it would be patched.
    pub eligible: bool,
    /// The reasons, when it would not be.
    pub reasons: Vec<String>,
    /// A warning, if there is one.
    pub warning: Option<String>,
    /// Id of the image that it runs on; null when it runs on several.
    pub from_image: Option<String>,
    /// Name of that image, when its account sees it.
    pub from_name: Option<String>,
    /// Whole days since a newer stable image of its kind was released.
    pub days_behind: Option<u64>,
    /// Id of the image that it would run on.
    pub to_image: Option<String>,
    /// Name of that image.
    pub to_name: Option<String>,
    /// The strategy of the deployment.
    pub strategy: Option<domain::plan::Strategy>,
    /// What the deployment would do.
    pub preview: Option<PreviewView>,
}

/// Lists the machine images of all AWS accounts, or of one, with their age and use.
#[utoipa::path(
    get,
    operation_id = "list_images",
    path = "/api/v1/images",
    tag = "images",
    params(ImagesQuery),
    responses(
        (status = 200, body = ImagesView, description = "The images, at most 10,000 per account."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such account."),
    )
)]
pub(super) async fn list(
    InDesk(desk): InDesk,
    InQuery(query): InQuery<ImagesQuery>,
) -> Result<Json<ImagesView>, Problem> {
    let accounts = desk.images(query.account.as_ref()).await?;
    let accounts = accounts.into_iter().map(AccountImagesView::from).collect();
    Ok(Json(ImagesView { accounts }))
}

/// Returns which server groups would be patched to which image, and why the others would not. Changes
/// nothing.
#[utoipa::path(
    post,
    operation_id = "plan_patch",
    path = "/api/v1/patches/plan",
    tag = "images",
    request_body = PatchPlanRequest,
    responses(
        (status = 200, body = PatchPlanView, description = "Every server group in scope."),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json", description = "`ami` is neither `latest` nor the id of an image."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such service or environment."),
    )
)]
pub(super) async fn plan(
    InDesk(desk): InDesk,
    InJson(body): InJson<PatchPlanRequest>,
) -> Result<Json<PatchPlanView>, Problem> {
    let wish = PatchWish {
        to: target(&body.ami)?,
        environment: body.environment,
        service: body.service,
    };
    let groups = desk.plan_patch(&wish).await?;
    let groups = groups.into_iter().map(PatchGroupView::from).collect();
    Ok(Json(PatchPlanView { groups }))
}

fn target(ami: &str) -> Result<PatchTo, Problem> {
    if ami == "latest" {
        return Ok(PatchTo::Latest);
    }
    let id = ami.parse::<ImageId>().map_err(|error| {
        let status = axum::http::StatusCode::BAD_REQUEST;
        Problem::new(status, "bad_body", "the request body has invalid fields")
            .fault("ami", format!("is neither `latest` nor an id: {error}"))
    })?;
    Ok(PatchTo::Image(id))
}

impl From<AccountImages> for AccountImagesView {
    fn from(of: AccountImages) -> Self {
        let images = of.images.into_iter().map(|ranked| {
            let groups = of.groups.get(&ranked.image.id).copied();
            ImageView::new(ranked, groups.unwrap_or(0))
        });
        Self {
            account: of.account.to_string(),
            listed_at: time(of.at),
            truncated: of.truncated,
            trouble: of.trouble.map(TroubleView::from),
            images: images.collect(),
        }
    }
}

impl ImageView {
    fn new(ranked: Ranked, server_groups: u32) -> Self {
        let image = ranked.image;
        Self {
            released_at: time(image.released_at()),
            created_at: time(image.created_at),
            id: image.id.to_string(),
            name: image.name,
            kind: ranked.kind,
            version: ranked.version.map(|version| version.to_string()),
            state: image.state,
            stable: ranked.is_stable,
            rank: ranked.rank,
            is_latest: ranked.is_latest,
            is_latest_stable: ranked.is_latest_stable,
            days_behind: ranked.days_behind,
            architecture: image.architecture,
            platform: image.platform,
            shared: image.shared,
            server_groups,
        }
    }
}

impl From<PatchGroup> for PatchGroupView {
    fn from(group: PatchGroup) -> Self {
        let (eligible, reasons) = match group.verdict {
            PatchVerdict::Eligible(eligible) => (Some(*eligible), Vec::new()),
            PatchVerdict::Ignored(reasons) => (None, reasons),
        };
        let mut view = Self {
            service: group.place.service.to_string(),
            environment: group.place.environment.to_string(),
            version: group.version.map(|version| version.to_string()),
            eligible: eligible.is_some(),
            reasons,
            warning: None,
            from_image: group.from.map(|image| image.to_string()),
            from_name: group.from_name,
            days_behind: group.days_behind,
            to_image: None,
            to_name: None,
            strategy: None,
            preview: None,
        };
        if let Some(eligible) = eligible {
            view.warning = eligible.warning;
            view.to_image = Some(eligible.to.to_string());
            view.to_name = Some(eligible.to_name);
            view.strategy = Some(eligible.strategy);
            view.preview = Some(eligible.preview.into());
        }
        view
    }
}
