//! Problem documents (RFC 9457) as sentences for people, with the exit code that fits.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    failure::{Exit, Failure},
    wire::Reason,
};

/// What is read of a problem document. Unknown fields are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    title: String,
    detail: String,
    remedy: String,
    objections: Vec<Reason>,
    errors: Vec<FieldError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldError {
    field: String,
    message: String,
}

/// What the answer `body` with the error `status` of the server at `address` means.
#[must_use]
pub fn failure(status: StatusCode, body: &[u8], address: &str) -> Failure {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let what = [&problem.detail, &problem.title]
        .into_iter()
        .find(|text| !text.is_empty())
        .cloned()
        .unwrap_or_else(|| format!("the server at {address} answered {status}"));
    // The sentence of a refusal repeats all objections, which are listed below.
    let what = match problem.objections.len() {
        0 => what,
        1 => "the request was refused".to_owned(),
        many => format!("the request was refused for {many} reasons"),
    };
    let mut failure = Failure::new(exit(status), what);
    for objection in problem.objections {
        failure = failure.reason(objection.told(), objection.remedy);
    }
    // A single fault may be in the sentence already.
    let told = match problem.errors.as_slice() {
        [only] => what_says(&problem.detail, only),
        _ => false,
    };
    for FieldError { field, message } in problem.errors.into_iter().filter(|_| !told) {
        let message = if field.is_empty() {
            message
        } else {
            format!("{field}: {message}")
        };
        failure = failure.reason(message, "");
    }
    if !problem.remedy.is_empty() {
        return failure.next(problem.remedy);
    }
    match status {
        StatusCode::UNAUTHORIZED => failure.next(
            "pass the file with the token as --token-file; the server keeps its token in its data folder",
        ),
        status if status.is_server_error() => failure
            .because(format!("the server answered {status} ({})", problem.code))
            .next("see the server log; no partial change was made"),
        _ => failure,
    }
}

/// Whether `sentence` tells the fault.
fn what_says(sentence: &str, fault: &FieldError) -> bool {
    sentence.contains(&fault.message)
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Unauthorised,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Refused,
        StatusCode::NOT_FOUND | StatusCode::GONE => Exit::NotReached,
        status if status.is_client_error() => Exit::Usage,
        _ => Exit::Unreachable,
    }
}

/// What a refused dry run means.
pub(super) fn refused(what: String, objections: Vec<Reason>) -> Failure {
    objections
        .into_iter()
        .fold(Failure::new(Exit::Refused, what), |failure, objection| {
            failure.reason(objection.told(), objection.remedy)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Style;

    #[test]
    fn every_objection_is_told_with_its_remedy() {
        let body = br#"{"code":"refused","title":"Refused","detail":"shop 1.1.0 may not go to staging",
            "objections":[{"reason":"environment_locked","sentence":"staging is locked","remedy":"ask alice"},
                {"reason":"environment_frozen","sentence":"staging is frozen","remedy":"wait",
                 "until":"2027-01-03T00:00:00Z"}],
            "something_new": 1}"#;
        let failure = failure(StatusCode::CONFLICT, body, "http://here");
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(
            failure.text(Style::PLAIN),
            "error: the request was refused for 2 reasons\n  - staging is locked\n      next: ask alice\n  \
             - staging is frozen (until 2027-01-03T00:00:00Z)\n      next: wait"
        );
    }

    #[test]
    fn a_single_fault_is_told_once() {
        let body = |detail: &str| {
            let errors = [serde_json::json!({"field": "version", "message": "has a slash"})];
            let body = serde_json::json!({"code": "bad", "detail": detail, "errors": errors});
            failure(StatusCode::BAD_REQUEST, body.to_string().as_bytes(), "").text(Style::PLAIN)
        };
        assert_eq!(
            body("the path is invalid"),
            "error: the path is invalid\n  - version: has a slash"
        );
        assert_eq!(
            body("the path is invalid: version: has a slash"),
            "error: the path is invalid: version: has a slash"
        );
    }

    #[test]
    fn an_answer_of_something_else_is_not_hidden() {
        let failure = failure(StatusCode::BAD_GATEWAY, b"<html>", "http://here");
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(
            failure
                .text(Style::PLAIN)
                .contains("http://here answered 502")
        );
    }
}
