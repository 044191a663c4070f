//! Signing in by an identity provider: there, and back.
//!
//! Going there is a link and not a form: `form-action` would stop the way to another site. What it
//! remembers is good for nothing but the answer, in this browser, once.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::Response,
};
use maud::{Markup, html};
use operations::sign_in::Brought;

use super::{page, refused, welcome};
use crate::{
    App,
    portal::{
        failed::Failed,
        parts::Query,
        visitor,
        way_in::{here, path_here, see},
    },
    rows::Pages,
};

/// The cookie of a browser that went to a provider, for as long as the answer counts.
const COOKIE: &str = "__Host-pointsman-away";

pub(super) fn pages() -> Pages {
    Pages::default()
        .shows("/sign-in/with/{provider}", leave)
        .shows("/sign-in/back/{provider}", come_back)
}

/// A way to sign in by each provider.
pub(super) fn links(app: &App, next: &str) -> Markup {
    let with_next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    html! {
        @for (name, title) in app.operations.identity_providers() {
            a.button href={ "/sign-in/with/" (name) "?next=" (with_next) } { "Sign in with " (title) }
        }
    }
}

async fn leave(
    State(app): State<App>,
    Path(provider): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response, Failed> {
    let (from, next) = (visitor::from(&request), path_here(query.text("next")));
    let back = back_from(&app, &request, &provider);
    let leaving = app.operations.leave_for(&provider, &back, next, from);
    match leaving.await {
        Ok(leaving) => {
            let mut response = see(&leaving.url);
            let cookie = kept(leaving.browser.reveal(), 600).ok_or_else(Failed::signed_out)?;
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            Ok(response)
        }
        Err(error) => refused(error, |because| page(&app, next, "", Some(because))),
    }
}

async fn come_back(
    State(app): State<App>,
    Path(provider): Path<String>,
    query: Query,
    request: Request,
) -> Result<Response, Failed> {
    let headers = request.headers();
    let (from, old) = (visitor::from(&request), visitor::cookie(headers));
    let browser = visitor::cookie_named(headers, COOKIE);
    let back = back_from(&app, &request, &provider);
    let text = |name| Some(query.text(name).to_owned()).filter(|text| !text.is_empty());
    let brought = Brought {
        state: query.text("state").to_owned(),
        code: text("code"),
        issuer: text("iss"),
    };
    let operations = &app.operations;
    let came = operations.come_back(
        (&provider, &back),
        browser.as_deref(),
        brought,
        (from, old.as_deref()),
    );
    let mut response = match came.await {
        Ok((signed_in, next)) => welcome(&signed_in, path_here(&next))?,
        Err(error) => return refused(error, |because| page(&app, "/", "", Some(because))),
    };
    if let Some(forgotten) = kept("", 0) {
        response.headers_mut().append(header::SET_COOKIE, forgotten);
    }
    Ok(response)
}

/// Where the provider sends people back to: at the address that is configured, never one that a request
/// names.
fn back_from(app: &App, request: &Request, provider: &str) -> String {
    let mut back = here(app, request).to_string();
    let provider = form_urlencoded::byte_serialize(provider.as_bytes());
    back.push_str("/sign-in/back/");
    provider.for_each(|part| back.push_str(part));
    back
}

fn kept(value: &str, seconds: u32) -> Option<HeaderValue> {
    let text =
        format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
