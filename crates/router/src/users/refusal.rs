//! The router's own answers: why a request did not reach an instance, in plain words.
//!
//! Invariant: an answer quotes at most a bounded piece of what the user sent, as plain text.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::users::body::RouterBody;

/// At most this many characters of a host name are quoted.
const QUOTED_MAX: usize = 130;

/// Why a request gets no answer from an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is faulty.
    BadRequest(&'static str),
    /// Nothing is routed at this host.
    UnknownHost(String),
    /// The user stopped in the middle of the request.
    RequestTimeout,
    /// The router does not support this.
    NotImplemented(&'static str),
    /// No instance could be reached, or its answer is unusable.
    BadGateway(String),
    /// The host has no healthy instance.
    NoInstance(String),
    /// The instance did not answer in time.
    GatewayTimeout(String),
    /// The router has no file descriptor or no port left to reach an instance.
    Exhausted,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::UnknownHost(_) => StatusCode::NOT_FOUND,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Self::NoInstance(_) | Self::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::BadRequest(why) => format!("Bad request: {why}.\n"),
            Self::UnknownHost(host) => format!(
                "No service is routed at {:?}. Ask for http://SERVICE.ENVIRONMENT.localhost with \
                 the names of a service and an environment that has a server group for it.\n",
                quotable(host)
            ),
            Self::RequestTimeout => "The rest of the request did not come in time.\n".to_owned(),
            Self::NotImplemented(what) => format!("The router does not support {what}.\n"),
            Self::BadGateway(why) => {
                format!("Bad gateway: {why}. The service's log may say more.\n")
            }
            Self::NoInstance(host) => format!(
                "{:?} has no healthy instance now. Look at the status of its server group, or try \
                 again in a moment.\n",
                quotable(host)
            ),
            Self::GatewayTimeout(why) => format!("Gateway time-out: {why}.\n"),
            Self::Exhausted => "The router has no file descriptor or port left. Try again in a \
                 moment.\n"
                .to_owned(),
        }
    }

    pub(crate) fn into_response(self) -> Response<RouterBody> {
        let mut response = Response::new(RouterBody::text(Bytes::from(self.text())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        headers.insert(header::SERVER, HeaderValue::from_static("pointsman"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if matches!(self, Self::NoInstance(_) | Self::Exhausted) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A bounded piece of what a user sent.
fn quotable(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}
