//! The style, the script and the icons: compiled in, and named after their content, so that browsers may
//! keep them for good.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::rows::Pages;

/// One file, with the path that pages name.
pub(super) struct Asset {
    /// Where browsers find it.
    pub(super) path: String,
    media_type: &'static str,
    content: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = concat!(
        include_str!("../../assets/portal.css"),
        include_str!("../../assets/deploy.css"),
    );
    Asset::new("portal", "css", "text/css; charset=utf-8", content)
});
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../assets/portal.js");
    Asset::new("portal", "js", "text/javascript; charset=utf-8", content)
});
pub(super) static ICONS: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../assets/icons.svg");
    Asset::new("icons", "svg", "image/svg+xml", content)
});
pub(super) static MARK: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../assets/mark.svg");
    Asset::new("mark", "svg", "image/svg+xml", content)
});

impl Asset {
    fn new(name: &str, ending: &str, media_type: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let hash: String = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            path: format!("/assets/{name}-{hash}.{ending}"),
            media_type,
            content,
        }
    }
}

/// The route of all of them.
pub(super) fn pages() -> Pages {
    Pages::default().shows("/assets/{file}", read)
}

async fn read(Path(file): Path<String>) -> Response {
    let path = format!("/assets/{file}");
    let all = [&*STYLE, &*SCRIPT, &*ICONS, &*MARK];
    let Some(asset) = all.into_iter().find(|asset| asset.path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.content).into_response()
}
