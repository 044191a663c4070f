//! AWS's answers as errors for people, sorted by how callers react to them.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use engine::ports::{ErrorKind, ProviderError};

use crate::calls::call::Call;

/// Longest text of an answer that is quoted, in characters.
const QUOTE_MAX: usize = 400;

/// Codes that mean: too many requests.
const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequestsException",
    "SlowDown",
    "BandwidthLimitExceeded",
];
/// Codes that mean: not now. A later try may succeed without any change.
const BUSY: &[&str] = &[
    "ScalingActivityInProgress",
    "ResourceContention",
    "ResourceInUse",
    "PriorRequestNotComplete",
    "InternalFailure",
    "InternalError",
    "InternalServiceError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "RequestTimeout",
    "InsufficientInstanceCapacity",
];
/// Codes that mean: Pointsman may not do this.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "AuthFailure",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "OptInRequired",
];
/// Auto Scaling's code for every request that it finds wrong, also where it names something that does
/// not exist.
pub const VALIDATION_ERROR: &str = "ValidationError";
/// The HTTP status of a call that was denied. An answer to `HEAD` has no body, and so no code.
const FORBIDDEN: u16 = 403;

/// A call that failed.
#[derive(Debug)]
pub struct Failed {
    code: Option<String>,
    lacks_credentials: bool,
    /// The error for people, with its kind.
    pub error: ProviderError,
}

impl Failed {
    /// Reads AWS's answer to a call, or why there is none.
    pub fn new<E>(call: &Call, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = error.code();
        let kind = match error {
            SdkError::ServiceError(service) => kind_of(code, service.raw().status().as_u16()),
            // Timeouts, cut connections, answers that cannot be read: it may have been carried out.
            _ => ErrorKind::Unavailable,
        };
        let answer = match error {
            SdkError::ServiceError(service) => match (code, error.message()) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) => format!("HTTP status {}", service.raw().status().as_u16()),
            },
            _ => causes(error),
        };
        let answer: String = answer.chars().take(QUOTE_MAX).collect();
        let next = match kind {
            ErrorKind::Denied => {
                "; `pointsman doctor ACCOUNT --policy` prints the permissions that are needed"
            }
            _ => "",
        };
        let name = call.name();
        Self {
            code: code.map(str::to_owned),
            lacks_credentials: chain(error).any(|it| it.is::<CredentialsError>()),
            error: ProviderError::new(kind, format!("AWS {name}: {answer}{next}")),
        }
    }

    /// Whether AWS answered with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code() == code
    }

    /// AWS's code for what went wrong; empty where AWS did not answer, or gave none.
    pub fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    /// Whether the call was never sent, because the SDK found no credentials to sign it with.
    pub fn lacks_credentials(&self) -> bool {
        self.lacks_credentials
    }
}

impl From<Failed> for ProviderError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// An error and its causes, from the outside in.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// What an error and its causes say, without the words that say nothing.
fn causes(error: &(dyn Error + 'static)) -> String {
    const NOTHING: [&str; 4] = ["dispatch failure", "other", "service error", "io error"];
    let mut causes: Vec<String> = chain(error).map(ToString::to_string).collect();
    causes.retain(|it| !NOTHING.contains(&it.as_str()));
    causes.dedup();
    match causes.as_slice() {
        [] => error.to_string(),
        causes => causes.join(": "),
    }
}

fn kind_of(code: Option<&str>, status: u16) -> ErrorKind {
    match code {
        Some(code) if THROTTLED.contains(&code) => ErrorKind::Throttled,
        Some(code) if BUSY.contains(&code) => ErrorKind::Unavailable,
        Some(code) if DENIED.contains(&code) => ErrorKind::Denied,
        Some(code) if code.contains("NotFound") || code.starts_with("NoSuch") => ErrorKind::Missing,
        None if status == FORBIDDEN => ErrorKind::Denied,
        _ if status >= 500 => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    }
}

/// A setting or a state that this provider cannot work with.
pub fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

/// Something that the request names does not exist.
pub fn missing(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Missing, message)
}

/// The same error, for another caller that waits for it.
pub fn copy(error: &ProviderError) -> ProviderError {
    ProviderError::new(error.kind, error.message.clone())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    #[test]
    fn causes_are_given_without_words_that_say_nothing() {
        let link = |text, cause: Option<Link>| Link(text, cause.map(Box::new));
        let refused = link("Connection refused", None);
        let chain = link("dispatch failure", Some(link("io error", Some(refused))));
        assert_eq!(causes(&chain), "Connection refused");
        let twice = link("no route", Some(link("no route", None)));
        assert_eq!(
            causes(&link("timed out", Some(twice))),
            "timed out: no route"
        );
        assert_eq!(causes(&link("other", None)), "other");
    }

    #[test]
    fn every_code_has_its_kind() {
        let rows = [
            (Some("Throttling"), 400, ErrorKind::Throttled),
            (Some("RequestLimitExceeded"), 503, ErrorKind::Throttled),
            (
                Some("ScalingActivityInProgress"),
                400,
                ErrorKind::Unavailable,
            ),
            (Some("ResourceContention"), 500, ErrorKind::Unavailable),
            (
                Some("InvalidLaunchTemplateId.NotFound"),
                400,
                ErrorKind::Missing,
            ),
            (Some("NoSuchHostedZone"), 404, ErrorKind::Missing),
            (Some("UnauthorizedOperation"), 403, ErrorKind::Denied),
            (Some("ValidationError"), 400, ErrorKind::Invalid),
            (None, 403, ErrorKind::Denied),
            (None, 502, ErrorKind::Unavailable),
        ];
        for (code, status, kind) in rows {
            assert_eq!(kind_of(code, status), kind, "{code:?} {status}");
        }
    }
}
