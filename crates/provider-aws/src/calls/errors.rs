//! AWS's answers as errors for people, sorted by what calls for different behaviour.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use engine::ports::{ErrorKind, ProviderError};

/// Longest text of an answer that is quoted, in characters.
const QUOTE_MAX: usize = 400;

/// Codes that mean: asked too often.
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
/// Codes that mean: not now. Asking again helps, without anybody changing anything.
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

/// The failure of `operation` in words, with its kind.
pub fn failed<E>(
    operation: &str,
    error: &SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code();
    let kind = match error {
        SdkError::ServiceError(service) => by_code(code, service.raw().status().as_u16()),
        // Timeouts, cut connections, answers that cannot be read: it may have been carried out.
        _ => ErrorKind::Unavailable,
    };
    let said = match error {
        SdkError::ServiceError(_) => {
            let message = error.message().unwrap_or("no message");
            format!("{}: {message}", code.unwrap_or("an answer without a code"))
        }
        _ => causes(error),
    };
    let said: String = said.chars().take(QUOTE_MAX).collect();
    let next = match kind {
        ErrorKind::Denied => "; `pointsman doctor` shows the permissions that are needed",
        _ => "",
    };
    ProviderError::new(kind, format!("AWS {operation}: {said}{next}"))
}

/// What an error says, and what caused it. Words that say nothing are left out.
fn causes(error: &dyn std::error::Error) -> String {
    const NOTHING: [&str; 4] = ["dispatch failure", "other", "service error", "io error"];
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).collect();
    said.retain(|it| !NOTHING.contains(&it.as_str()));
    said.dedup();
    match said.as_slice() {
        [] => error.to_string(),
        said => said.join(": "),
    }
}

fn by_code(code: Option<&str>, status: u16) -> ErrorKind {
    match code {
        Some(code) if THROTTLED.contains(&code) => ErrorKind::Throttled,
        Some(code) if BUSY.contains(&code) => ErrorKind::Unavailable,
        Some(code) if DENIED.contains(&code) => ErrorKind::Denied,
        Some(code) if code.contains("NotFound") || code.starts_with("NoSuch") => ErrorKind::Missing,
        _ if status >= 500 => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    }
}

/// There was nobody to ask AWS as.
pub fn is_of_credentials(error: &ProviderError) -> bool {
    // The SDK's words; it has no type for it that could be looked at.
    error.kind == ErrorKind::Unavailable && error.message.contains("loading credentials")
}

/// The same error for somebody else who waits for it.
pub fn copy(error: &ProviderError) -> ProviderError {
    ProviderError::new(error.kind, error.message.clone())
}

/// A setting or a state that this provider cannot work with.
pub fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

/// Something that the request names does not exist.
pub fn missing(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Missing, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    #[test]
    fn causes_are_told_without_words_that_say_nothing() {
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
    fn codes_call_for_the_right_behaviour() {
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
            (None, 502, ErrorKind::Unavailable),
        ];
        for (code, status, kind) in rows {
            assert_eq!(by_code(code, status), kind, "{code:?} {status}");
        }
    }
}
