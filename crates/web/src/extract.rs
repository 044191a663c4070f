//! Reading requests. Whatever is wrong becomes a problem that names the field.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, RawPathParams, Request, rejection::BytesRejection},
    http::{Extensions, HeaderMap, StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{origin::Origin, problem::Problem, streams::Visa};
use operations::Desk;

/// A JSON body.
pub struct InJson<T>(pub T);

/// A JSON body; an empty one is the default.
pub struct InMaybeJson<T>(pub T);

/// The query.
pub struct InQuery<T>(pub T);

/// The parameters in the path.
pub struct InPath<T>(pub T);

/// Operations as the principal of the request sees them; put there by the door.
pub struct InDesk(pub Desk);

/// The address from which the request came.
pub struct InFrom(pub IpAddr);
/// What admits the principal of the request again; put there by the door.
pub struct InVisa(pub Visa);

/// The version that `If-Match` or `If-None-Match` expects; 0: there must be nothing yet.
pub struct Expected(pub Option<i64>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for InJson<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        is_json(request.headers())?;
        let bytes = bytes(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for InMaybeJson<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let json = is_json(request.headers());
        let bytes = bytes(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        json?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
            .map(Self)
            .map_err(|error| {
                let message = error.inner().to_string();
                bad_request("bad_query", "the query is invalid")
                    .fault(field_of(error.path()), message)
            })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|rejection| bad_path("", &rejection.body_text()))?;
        let texts = raw
            .iter()
            .map(|(name, text)| (name.to_owned(), text.into()));
        let texts = serde_json::Value::Object(texts.collect());
        serde_path_to_error::deserialize(texts)
            .map(Self)
            .map_err(|error| bad_path(&field_of(error.path()), &error.inner().to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InDesk {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let desk = parts.extensions.get::<Desk>().cloned();
        desk.map(Self).ok_or_else(unauthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InFrom {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(peer(&parts.extensions)))
    }
}

/// The address that a request comes from.
pub fn peer(extensions: &Extensions) -> IpAddr {
    let origin = extensions.get::<Origin>();
    origin.map_or(Ipv4Addr::UNSPECIFIED.into(), |origin| origin.0)
}

impl<S: Send + Sync> FromRequestParts<S> for InVisa {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visa = parts.extensions.get::<Visa>().cloned();
        visa.map(Self).ok_or_else(unauthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = |name| {
            let value = parts.headers.get(name)?;
            Some(value.to_str().unwrap_or("?").trim().to_owned())
        };
        match text(header::IF_NONE_MATCH).as_deref() {
            Some("*") => return Ok(Self(Some(0))),
            Some(_) => {
                let detail = "If-None-Match can only be * here: the entry must not exist";
                return Err(bad_request("bad_if_match", detail));
            }
            None => {}
        }
        match text(header::IF_MATCH) {
            None => Ok(Self(None)),
            Some(tag) => version(&tag)
                .map(|version| Self(Some(version)))
                .ok_or_else(|| {
                    bad_request("bad_if_match", "If-Match must contain one entity tag")
                        .remedy("send the ETag of an earlier answer, such as If-Match: \"7\"")
                }),
        }
    }
}

/// The version in an entity tag.
fn version(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.parse().ok().filter(|version| *version > 0)
}

/// Nobody showed a valid token.
pub fn unauthenticated() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "a valid bearer token is required",
    )
    .remedy("send `Authorization: Bearer TOKEN`; `pointsman login` gets one, and on the machine of the server the one who started it has one in the file `token` of its data folder")
}

/// The name of a field; empty for the whole.
fn field_of(path: &serde_path_to_error::Path) -> String {
    match path.iter().next() {
        Some(_) => path.to_string(),
        None => String::new(),
    }
}

fn bad_request(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

fn bad_path(field: &str, message: &str) -> Problem {
    bad_request("bad_path", "the path is invalid").fault(field, message)
}

fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = media_type(headers);
    if media_type == "application/json" || media_type.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the request body must be JSON, not {media_type:?}"),
    )
    .remedy("send `Content-Type: application/json`"))
}

/// The media type of a body, without parameters.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let bare = text.split(';').next().unwrap_or_default();
    bare.trim()
        .chars()
        .take(100)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// The whole body, within the limit of its route.
pub async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| unreadable(&rejection))
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the request body is too large",
        )
        .remedy("send less");
    }
    bad_request("body_broken_off", "the request body was incomplete").remedy("send it again")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = field_of(error.path());
        not_json(&field, &error.into_inner())
    })?;
    deserializer.end().map_err(|error| not_json("", &error))?;
    Ok(value)
}

fn not_json(field: &str, error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "the request body has invalid fields",
        )
        .fault(field, error.to_string());
    }
    bad_request("bad_json", "the request body is not JSON").fault(field, error.to_string())
}
