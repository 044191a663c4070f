//! What all answers share: times, pages, entity tags.

use axum::{
    Json,
    http::{HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use domain::time::UnixMs;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;
use operations::{PAGE_MAX, Page};

/// Rows of a page when nobody says how many.
const LIMIT_DEFAULT: u32 = 50;

/// A point in time as RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn time(at: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .unwrap_or_default()
        .to_string()
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Paging {
    /// Start of the page: `next` of the previous page.
    pub cursor: Option<String>,
    /// Maximum number of rows, 1 to 500; 50 by default.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// The number of rows asked for.
pub fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(bad_query(
        "limit",
        format!("must be between 1 and {PAGE_MAX}"),
    ))
}

/// The cursor, read as what it was made of.
pub fn cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let unreadable = || bad_query("cursor", "is not the `next` of an earlier page");
    cursor
        .map(|text| text.parse().map_err(|_| unreadable()))
        .transpose()
}

fn bad_query(field: &str, message: impl Into<String>) -> Problem {
    Problem::new(
        axum::http::StatusCode::BAD_REQUEST,
        "bad_query",
        "the query is invalid",
    )
    .fault(field, message)
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listing<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null at the end.
    pub next: Option<String>,
}

/// A page with its `Link` to the next one.
pub fn listing<T, U: Serialize>(uri: &Uri, page: Page<T>, view: impl FnMut(T) -> U) -> Response {
    let link = page.next.as_deref().map(|next| next_link(uri, next));
    let body = Listing {
        items: page.items.into_iter().map(view).collect(),
        next: page.next,
    };
    let mut response = Json(body).into_response();
    if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The same request with another cursor.
fn next_link(uri: &Uri, next: &str) -> String {
    let kept = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let cursor = format!("cursor={}", escape(next));
    let query: Vec<&str> = kept.chain([cursor.as_str()]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The word that a plain enum is written as.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// JSON with an entity tag.
pub fn tagged(version: impl std::fmt::Display, body: impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    let tag = HeaderValue::from_str(&format!("\"{version}\""));
    response
        .headers_mut()
        .insert(header::ETAG, tag.expect("numbers are good in headers"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_keeps_the_query_and_escapes_the_cursor() {
        let uri: Uri = "/api/v1/x?limit=2&cursor=old&service=a".parse().unwrap();
        assert_eq!(
            next_link(&uri, "1.0+b"),
            "</api/v1/x?limit=2&service=a&cursor=1.0%2Bb>; rel=\"next\""
        );
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(time(UnixMs(1_763_852_400_123)), "2025-11-22T23:00:00.123Z");
    }
}
