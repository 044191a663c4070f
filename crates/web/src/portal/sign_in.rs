//! Signing in and out, and the first admin of a server that nobody manages yet.

mod by_provider;

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use operations::{
    Error,
    sign_in::{Password, SignInRefused, SignedIn},
};

use super::{
    failed::Failed,
    parts::Query,
    shell::bare,
    visitor::{self, Visitor},
    way_in::{path_here, see},
};
use crate::{App, rows::Pages};

/// Largest body of a form here, in bytes.
const FORM_LEN_MAX: usize = 16 * 1024;
const CLEAR: (HeaderName, HeaderValue) = (
    HeaderName::from_static("clear-site-data"),
    HeaderValue::from_static("\"cache\""),
);

/// Pages for those who are not signed in yet.
pub(super) fn outside() -> Pages {
    Pages::default()
        .shows("/sign-in", ask)
        .form("/sign-in", by_password)
        .shows("/sign-in/link", ask_link)
        .form("/sign-in/link", by_link)
        .form("/sign-in/first", first)
        .merge(by_provider::pages())
}

/// What only those who are signed in can do here.
pub(super) fn inside() -> Pages {
    Pages::default().form("/sign-out", sign_out)
}

/// Asks for name and password; on a server without an admin, makes the first one.
async fn ask(State(app): State<App>, query: Query) -> Result<Markup, Failed> {
    let next = path_here(query.text("next"));
    if app.operations.needs_first_admin().await? {
        return Ok(first_page("", None));
    }
    Ok(page(&app, next, "", None))
}

async fn by_password(State(app): State<App>, request: Request) -> Result<Response, Failed> {
    let (from, old) = (visitor::from(&request), visitor::cookie(request.headers()));
    let form = form(request).await?;
    let (name, next) = (form.text("name"), path_here(form.text("next")));
    let password = Password::typed(form.text("password").to_owned());
    let signed_in = app.operations.sign_in(name, password, from, old.as_deref());
    match signed_in.await {
        Ok(signed_in) => welcome(&signed_in, next),
        Err(error) => refused(error, |because| page(&app, next, name, Some(because))),
    }
}

/// A code from the command line leads here. It is spent by the button, so that nothing that only looks at
/// links can use it up.
async fn ask_link(query: Query) -> Markup {
    let code = query.text("code");
    let body = html! {
        section.card.stack {
            h1 { "Sign in" }
            p { "This link signs you in on this browser. It works once." }
            form.stack method="post" action="/sign-in/link" {
                input type="hidden" name="code" value=(code);
                button.main-button type="submit" { "Sign in" }
            }
        }
    };
    bare("Sign in", &body)
}

async fn by_link(State(app): State<App>, request: Request) -> Result<Response, Failed> {
    let (from, old) = (visitor::from(&request), visitor::cookie(request.headers()));
    let form = form(request).await?;
    let code = form.text("code");
    let signed_in = app.operations.sign_in_by_link(code, from, old.as_deref());
    match signed_in.await {
        Ok(signed_in) => welcome(&signed_in, "/"),
        Err(error) => refused(error, |because| page(&app, "/", "", Some(because))),
    }
}

async fn first(State(app): State<App>, request: Request) -> Result<Response, Failed> {
    let from = visitor::from(&request);
    let form = form(request).await?;
    let name = form.text("name");
    let password = Password::typed(form.text("password").to_owned());
    let token = form.text("token");
    let made = app.door.make_first_admin(token, name, password, from);
    match made.await {
        Ok(signed_in) => welcome(&signed_in, "/"),
        Err(error @ Error::Exists { .. }) => Err(error.into()),
        Err(error) => refused(error, |because| first_page(name, Some(because))),
    }
}

async fn sign_out(visitor: Visitor) -> Result<Response, Failed> {
    visitor.desk.sign_out().await?;
    let mut response = see("/sign-in");
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, visitor::forget());
    let (name, value) = CLEAR;
    headers.insert(name, value);
    Ok(response)
}

async fn form(request: Request) -> Result<Query, Failed> {
    let body: Bytes = axum::body::to_bytes(request.into_body(), FORM_LEN_MAX)
        .await
        .map_err(|_| Failed::bad_field("form", "it is longer than any name and password"))?;
    Ok(Query::of(&body))
}

/// Keeps the session in the browser, and goes on to `next`.
fn welcome(signed_in: &SignedIn, next: &str) -> Result<Response, Failed> {
    let cookie = visitor::keep(signed_in.secret.reveal()).ok_or_else(Failed::signed_out)?;
    let mut response = see(next);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// The same page again, with the reason above the fields. What was typed as a name stays.
fn refused(error: Error, again: impl FnOnce(&str) -> Markup) -> Result<Response, Failed> {
    let mut headers = HeaderMap::new();
    let status = match &error {
        Error::SignIn(SignInRefused::Wrong) => StatusCode::UNAUTHORIZED,
        Error::SignIn(SignInRefused::TooOften { retry_after_s }) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after_s));
            StatusCode::TOO_MANY_REQUESTS
        }
        Error::SignIn(SignInRefused::ByProvider(_)) => StatusCode::UNAUTHORIZED,
        Error::SignIn(SignInRefused::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        Error::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => return Err(error.into()),
    };
    let because = match &error {
        Error::Invalid { faults, .. } => {
            let sentences = faults.iter().map(|fault| fault.sentence().to_string());
            sentences.collect::<Vec<_>>().join("; ")
        }
        other => other.to_string(),
    };
    Ok((status, headers, again(&because)).into_response())
}

fn page(app: &App, next: &str, name: &str, because: Option<&str>) -> Markup {
    let body = html! {
        section.card.stack {
            h1 { "Sign in" }
            (notice(because))
            form.stack method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label { "Name"
                    input name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false"
                        required autofocus[because.is_none()];
                }
                label { "Password"
                    input name="password" type="password" autocomplete="current-password" required
                        aria-describedby=[because.map(|_| "because")] autofocus[because.is_some()];
                }
                button.main-button type="submit" { "Sign in" }
            }
            (by_provider::links(app, next))
            p.small.soft {
                "No password yet? On the machine of the server, " code { "pointsman session link" }
                " prints a link that signs you in; elsewhere, ask an admin for a code."
            }
        }
    };
    bare("Sign in", &body)
}

fn first_page(name: &str, because: Option<&str>) -> Markup {
    let body = html! {
        section.card.stack {
            h1 { "Make the first admin" }
            p {
                "Nobody manages people on this server yet. The first start left a token in the file "
                code { "first-start-token" } " of the data folder. Anyone who can read that file can make the first admin."
            }
            (notice(because))
            form.stack method="post" action="/sign-in/first" {
                label { "Token of the first start"
                    input name="token" type="password" autocomplete="off" required autofocus;
                }
                label { "Name"
                    input name="name" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false" required;
                }
                label { "Password"
                    input name="password" type="password" autocomplete="new-password" minlength="12" required;
                    span.small.soft { "At least 12 characters." }
                }
                button.main-button type="submit" { "Make the first admin" }
            }
        }
    };
    bare("First admin", &body)
}

fn notice(because: Option<&str>) -> Markup {
    html! {
        @if let Some(because) = because {
            p.note.stop #because role="alert" { (because) }
        }
    }
}
