//! AWS's answers as errors for people, sorted by what calls for different behaviour.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};
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
        _ => DisplayErrorContext(error).to_string(),
    };
    let said: String = said.chars().take(QUOTE_MAX).collect();
    let next = match kind {
        ErrorKind::Denied => "; `pointsman doctor` shows the permissions that are needed",
        _ => "",
    };
    ProviderError::new(kind, format!("AWS {operation}: {said}{next}"))
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
