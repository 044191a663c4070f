//! Who looks at a page: the person of the session, and the desk with which pages are made.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use operations::{Desk, preferences::Preferences};

use super::{failed::Failed, times, way_in::see};
use crate::{App, extract::peer, guests::Guest, streams::Visa};

/// The cookie of a session. The prefix makes browsers keep it for this one host, from this host alone.
const COOKIE: &str = "__Host-pointsman";

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// What they may see and do.
    pub(crate) desk: Desk,
    /// What they prefer.
    pub(crate) prefers: Arc<Preferences>,
}

impl Visitor {
    /// The name, as the audit log has it.
    pub(super) fn name(&self) -> &str {
        self.desk.principal().name()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Failed;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failed> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(Failed::signed_out)
    }
}

/// Only people with a session pass; others are asked to sign in, and come back to where they were going.
pub(super) async fn signed_in(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let shown = cookie(request.headers());
    let from = from(&request);
    let principal = match &shown {
        Some(secret) => app.door.session(secret, from).await,
        None => Ok(None),
    };
    match principal {
        Ok(Some(principal)) => {
            if let Some(guest) = request.extensions().get::<Arc<Guest>>() {
                guest.is_known();
            }
            let desk = app.operations.desk(principal);
            let prefers = match desk.my_preferences().await {
                Ok(prefers) => Arc::new(prefers),
                Err(error) => return Failed::from(error).into_response(),
            };
            let zone = prefers.zone.clone();
            request.extensions_mut().insert(Visitor { desk, prefers });
            let secret: Arc<str> = shown.unwrap_or_default().into();
            request.extensions_mut().insert(visa(&app, secret, from));
            times::in_zone(zone.as_deref(), next.run(request)).await
        }
        Ok(None) if request.method() == Method::GET && wants_page(request.headers()) => {
            let asked = request.uri().path_and_query().map_or("/", |it| it.as_str());
            let next: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
            match asked {
                "/" => see("/sign-in"),
                _ => see(&format!("/sign-in?next={next}")),
            }
        }
        Ok(None) => Failed::signed_out().into_response(),
        Err(error) => Failed::from(error).into_response(),
    }
}

/// Admits the one with this session again.
fn visa(app: &App, secret: Arc<str>, from: IpAddr) -> Visa {
    let app = app.clone();
    Visa::new(move || {
        let (app, secret) = (app.clone(), Arc::clone(&secret));
        Box::pin(async move {
            let principal = app.door.session(&secret, from).await?;
            Ok(principal.map(|principal| app.operations.desk(principal)))
        })
    })
}

/// The secret in the cookie of a session, if the request shows one.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    cookie_named(headers, COOKIE)
}

/// The value of a cookie.
pub(super) fn cookie_named(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(header::COOKIE).iter();
    let pairs = texts.filter_map(|value| value.to_str().ok());
    let pairs = pairs.flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// The header that keeps `secret` in the browser until it is closed or the session ends.
pub(super) fn keep(secret: &str) -> Option<HeaderValue> {
    let text = format!("{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Lax");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that makes the browser forget the session.
pub(super) fn forget() -> HeaderValue {
    HeaderValue::from_static("__Host-pointsman=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The address that a request comes from.
pub(super) fn from(request: &Request) -> IpAddr {
    peer(request.extensions())
}

/// Whether a browser asks for a page to show, and not a program for an answer.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    accepted.is_some_and(|text| text.contains("text/html"))
}
