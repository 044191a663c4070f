//! What every request passes through, from the outside in: a count, an id, a safety net for panics, a limit
//! of time, and the token.

use std::{
    any::Any,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    App,
    extract::{peer, unauthenticated},
    guests::Guest,
    problem::Problem,
    refusals,
    streams::Visa,
};
use operations::metrics::Metrics;

/// Longest request id that is taken over.
const REQUEST_ID_LEN_MAX: usize = 64;
/// How long an ordinary answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What a page of this server may load, and that no other page may show it inside of itself.
const CONTENT_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Where the portal of this machine is: a name of its own, because cookies know no ports.
pub(crate) const PORTAL: &str = "pointsman.localhost";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Counts answers, and the time until their first byte.
pub(crate) async fn counted(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    metrics.answered(&method, route, response.status(), began.elapsed());
    response
}

/// Gives each request an id, which is in the log and in the answer.
pub(crate) async fn request_id(request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| is_id(text))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        request.method = %request.method(),
        request.path = %request.uri().path(),
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    tracing::debug!(parent: &span, response.status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    // The portal has a stricter one of its own.
    let policy = HeaderValue::from_static(CONTENT_POLICY);
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(policy);
    response
}

/// Refuses requests for another host than this machine, where nobody else is meant to reach the server: a
/// web page that reaches this port by a name of its own (DNS rebinding) is not answered. A request names
/// one host.
pub(crate) async fn for_this_host(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let header = named.next().map(|host| host.to_str().unwrap_or_default());
    let host = request.uri().authority().map(Authority::as_str).or(header);
    let Some(host) = host.filter(|host| !host.is_empty() && named.next().is_none()) else {
        let detail = "the request does not name one host";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_host", detail)
            .remedy("send one Host header"));
    };
    let is_named = is_this_machine(host) || app.portal.urls.at(host).is_some();
    if app.hosts == Hosts::ThisMachine && !is_named {
        let detail = "this server answers for this machine only";
        return Err(
            Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail)
                .remedy("ask it at 127.0.0.1 or localhost, or start it with --allow-remote"),
        );
    }
    Ok(next.run(request).await)
}

/// For which hosts the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Only by a name or an address of this machine.
    ThisMachine,
    /// By any name: others reach it, perhaps through a proxy.
    Any,
}

pub(crate) fn is_this_machine(host: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.eq_ignore_ascii_case(PORTAL)
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= REQUEST_ID_LEN_MAX && text.chars().all(allowed)
}

/// A panic is a bug; the one who asked gets an answer all the same, and nobody else notices.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = message, "a request handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "an internal error occurred",
    )
    .remedy("see the server log; no partial change was made")
    .into_response()
}

/// An answer comes in time, or a problem does.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed_out",
            "the answer took longer than 30 seconds",
        )
        .remedy("check whether it took effect, then retry")
        .into_response(),
    }
}

/// Only those with a token pass; who they are goes with the request.
pub(crate) async fn authenticated(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer);
    let principal = match shown {
        Some(token) => app.door.admit(token, peer(request.extensions())).await?,
        None => None,
    };
    let principal = principal.ok_or_else(|| {
        refusals::note("a request without a valid token was refused");
        unauthenticated()
    })?;
    if let Some(guest) = request.extensions().get::<Arc<Guest>>() {
        guest.is_known();
    }
    let visa = visa(&app, shown.unwrap_or_default(), peer(request.extensions()));
    let desk = app.operations.desk(principal);
    request.extensions_mut().insert(desk);
    request.extensions_mut().insert(visa);
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(no_store);
    Ok(response)
}

/// Admits the one who showed this token again.
fn visa(app: &App, shown: &str, from: IpAddr) -> Visa {
    let (app, shown) = (app.clone(), Arc::<str>::from(shown));
    Visa::new(move || {
        let (app, shown) = (app.clone(), Arc::clone(&shown));
        Box::pin(async move {
            let principal = app.door.admit(&shown, from).await?;
            Ok(principal.map(|principal| app.operations.desk(principal)))
        })
    })
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_of_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:7080",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]:7080",
            "[::1]",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:7080",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
