//! Manifests: apply and compare.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use crate::{
    App,
    extract::{InDesk, InQuery, bytes, media_type},
    problem::{Problem, ProblemDocument},
    rows::Guarded,
};
use operations::manifests::{self, Change, Changed, Difference, Mode};

/// The routes of this noun.
pub(super) fn routes() -> Guarded {
    Guarded::new().routes(routes!(apply))
}

/// Largest set of manifests, in bytes.
pub const BODY_LEN_MAX: usize = 16 * 1024 * 1024;

/// How manifests are taken.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ManifestsQuery {
    /// Returns what would change, and stores nothing.
    pub dry_run: bool,
}

/// What changes, or would change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changes {
    /// One item per manifest, in the same order.
    pub changes: Vec<ChangeView>,
}

/// The change of one entry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeView {
    /// Kind of the entry, as in manifests.
    pub kind: String,
    /// Name of the entry.
    pub name: String,
    /// `created`, `updated` or `unchanged`.
    pub change: String,
    /// The fields that change.
    pub differences: Vec<DifferenceView>,
    /// What to know before applying it, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A field that changes; null stands for a field that is missing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct DifferenceView {
    /// Path of the field, such as `health.path`.
    pub field: String,
    /// The stored value.
    pub before: Value,
    /// The new value.
    pub after: Value,
}

/// Applies manifests to the catalogue, all or nothing.
#[utoipa::path(
    post,
    operation_id = "apply_manifests",
    path = "/api/v1/manifests",
    tag = "catalogue",
    params(ManifestsQuery),
    request_body(content(
        (String = "application/yaml"),
        (Value = "application/json"),
    ), description = "YAML with any number of documents, or a JSON manifest or list of them."),
    responses(
        (status = 200, body = Changes, description = "What changed; with `dry_run`, what would change."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json",
         description = "The manifests are invalid; each error has document, kind, name and field. Nothing was stored."),
    )
)]
pub(super) async fn apply(
    State(app): State<App>,
    InDesk(desk): InDesk,
    InQuery(query): InQuery<ManifestsQuery>,
    request: Request,
) -> Result<Json<Changes>, Problem> {
    let media_type = media_type(request.headers());
    let bytes = bytes(request, &app).await?;
    let documents = match media_type.as_str() {
        "application/json" => manifests::from_json(&bytes)?,
        "" | "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
            manifests::from_yaml(text(&bytes)?)?
        }
        other => return Err(unsupported(other)),
    };
    let mode = match query.dry_run {
        true => Mode::DryRun,
        false => Mode::Apply,
    };
    let changes = desk.apply(documents, mode).await?;
    let changes = changes.into_iter().map(ChangeView::from).collect();
    Ok(Json(Changes { changes }))
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let detail = format!("the manifests are not UTF-8 text: {error}");
        Problem::new(StatusCode::BAD_REQUEST, "bad_yaml", detail).remedy("save them as UTF-8")
    })
}

fn unsupported(media_type: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("manifests are YAML or JSON, not {media_type:?}"),
    )
    .remedy("send `Content-Type: application/yaml` or `application/json`")
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        let word = match change.changed {
            Changed::Created => "created",
            Changed::Updated => "updated",
            Changed::Unchanged => "unchanged",
        };
        Self {
            kind: change.kind.words().manifest.to_owned(),
            name: change.name,
            change: word.to_owned(),
            differences: change
                .differences
                .into_iter()
                .map(DifferenceView::from)
                .collect(),
            notes: change.notes,
        }
    }
}

impl From<Difference> for DifferenceView {
    fn from(difference: Difference) -> Self {
        Self {
            field: difference.field,
            before: difference.before,
            after: difference.after,
        }
    }
}
