//! Pages that say why something was not done, and what to do next.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::html;
use operations::Error;

use super::{
    parts::{capital, icon, objection_items},
    shell::bare,
    way_in::PublicUrl,
};
use crate::{problem::status_of, refusals};

/// Why there is no other page.
#[derive(Debug)]
pub(crate) struct Failed {
    status: StatusCode,
    title: &'static str,
    because: String,
    next: String,
    error: Option<Box<Error>>,
}

impl Failed {
    fn new(status: StatusCode, title: &'static str, because: impl Into<String>) -> Self {
        Self {
            status,
            title,
            because: because.into(),
            next: String::new(),
            error: None,
        }
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// Nobody is signed in, or not any more.
    pub(crate) fn signed_out() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Sign in first",
            "You are not signed in.",
        )
        .next("Sign in, then do it again.")
    }

    /// There is no such page.
    pub(super) fn no_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "No such page",
            "There is no page at this address.",
        )
        .next("Search for a service or an environment, or begin at the overview.")
    }

    /// A form came from a page of another site.
    pub(super) fn cross_origin() -> Self {
        refusals::note("a form from another site was refused");
        let because = "The request came from a page that is not part of this portal.";
        Self::new(
            StatusCode::FORBIDDEN,
            "Not taken from another site",
            because,
        )
        .next("Nothing was changed. Open the portal itself and do it there.")
    }

    /// The portal is somewhere else.
    pub(super) fn misdirected(url: &PublicUrl) -> Self {
        refusals::note("a request for another host was refused");
        let because = format!("The portal of this server is at {url}, and at no other name.");
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "The portal is elsewhere",
            because,
        )
        .next(
            "If people reach it by another name, start the server with --public-url and that name.",
        )
    }

    /// A form has a field that cannot be read.
    pub(super) fn bad_field(field: &str, message: &str) -> Self {
        let because = format!("{field}: {message}.");
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Not possible like this",
            because,
        )
        .next("Go back, change it, and send it again.")
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let described = error.described();
        let status = status_of(described.class);
        let title = match status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "You may not do this",
            StatusCode::UNAUTHORIZED => "Sign in first",
            StatusCode::CONFLICT => "Not possible now",
            StatusCode::PRECONDITION_FAILED => "It changed meanwhile",
            StatusCode::TOO_MANY_REQUESTS => "Too often",
            StatusCode::SERVICE_UNAVAILABLE => "No answer now",
            StatusCode::INTERNAL_SERVER_ERROR => "An error of Pointsman itself",
            _ => "Not possible like this",
        };
        if status.is_server_error() {
            tracing::error!(code = described.code, "{error}");
        }
        let failed = Self::new(status, title, sentence(&error.to_string()));
        Self {
            next: sentence(described.remedy),
            error: Some(Box::new(error)),
            ..failed
        }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let body = html! {
            section.card.stack {
                h1 { span.stop { (icon("failed")) } " " (self.title) }
                p { (self.because) }
                @match self.error.as_deref() {
                    Some(Error::Refused(objections)) => { (objection_items(objections)) }
                    Some(Error::Invalid { faults, .. }) => {
                        ul.faults {
                            @for fault in faults { li { b { (fault.field) } " " (fault.sentence()) } }
                        }
                    }
                    _ => {}
                }
                @if !self.next.is_empty() { p.soft { (self.next) } }
                p.flow {
                    a.button href="/" { "Overview" }
                    @if self.status == StatusCode::UNAUTHORIZED { a.button href="/sign-in" { "Sign in" } }
                }
            }
        };
        let page = bare(self.title, &body);
        let mut response = (self.status, page).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// A sentence of ours as a page writes it.
fn sentence(text: &str) -> String {
    let end = match text.ends_with(['.', '!', '?']) || text.is_empty() {
        true => "",
        false => ".",
    };
    format!("{}{end}", capital(text))
}
