//! Problem documents (RFC 9457): the one place where an error gets a status.
//!
//! Invariant: a code, once published, keeps its meaning; programs depend on it.

use std::error::Error as _;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::governance::Objection;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::refusals;
use operations::{
    Error,
    error::{Class, Described, Fault},
    trouble::Trouble,
};

/// The media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, why, and what to do next.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    remedy: &'static str,
    objections: Vec<ObjectionView>,
    errors: Vec<FieldError>,
}

/// A problem: what went wrong, why, and what to do next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// `urn:pointsman:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable code, for programs.
    pub code: String,
    /// What happened, for people.
    pub detail: String,
    /// What to do next.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    pub remedy: String,
    /// Every objection of governance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub objections: Vec<ObjectionView>,
    /// Every error in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// One reason why governance refuses a deployment.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Objection)]
pub struct ObjectionView {
    /// Stable, for programs, such as `environment_locked`.
    pub reason: String,
    /// The same for people.
    pub sentence: String,
    /// What would lift it.
    pub remedy: String,
    /// Who can lift it: `time`, `engine`, `operator`, `owner` or `provider_administrator`.
    pub who_can_act: String,
    /// The fields of this reason, such as `environment`, `by` and `why` of a lock.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub fields: Map<String, Value>,
}

/// Why something is not known now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trouble)]
pub struct TroubleView {
    /// Stable, for programs, such as `provider_unavailable`.
    pub reason: String,
    /// The same for people.
    pub sentence: String,
    /// What to do.
    pub remedy: String,
    /// Who can end it: `time`, `operator` or `provider_administrator`.
    pub who_can_act: String,
}

impl From<Trouble> for TroubleView {
    fn from(trouble: Trouble) -> Self {
        Self {
            reason: trouble.reason.to_owned(),
            sentence: trouble.sentence,
            remedy: trouble.remedy.to_owned(),
            who_can_act: trouble.who_can_act.to_string(),
        }
    }
}

/// An error in a request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `health.path`; empty for the whole request.
    pub field: String,
    /// What is wrong, for people.
    pub message: String,
    /// Number of the document, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
    /// Kind of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name of the entry that it describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            remedy: "",
            objections: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// With a word on what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = remedy;
        self
    }

    /// With a fault of a field.
    #[must_use]
    pub fn fault(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors
            .push(FieldError::from(Fault::of(field, message)));
        self
    }
}

impl From<Fault> for FieldError {
    fn from(fault: Fault) -> Self {
        Self {
            message: fault.sentence(),
            field: fault.field,
            document: fault.document,
            kind: fault.kind,
            name: fault.name,
        }
    }
}

impl From<&Objection> for ObjectionView {
    fn from(objection: &Objection) -> Self {
        let mut fields = match serde_json::to_value(objection) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        for named in ["reason", "remedy"] {
            fields.remove(named);
        }
        Self {
            reason: objection.as_str().to_owned(),
            sentence: objection.to_string(),
            remedy: objection.remedy(),
            who_can_act: objection.who_can_act().to_string(),
            fields,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let Described {
            class,
            code,
            remedy,
        } = error.described();
        let status = status_of(class);
        if status.is_server_error() {
            let cause = error.source().map(ToString::to_string);
            tracing::error!(code, cause, "{error}");
        }
        let mut problem = Self::new(status, code, error.to_string()).remedy(remedy);
        match &error {
            Error::Denied(_) => refusals::note("a request was denied: the right is missing"),
            Error::Refused(_) => refusals::note("governance refused a request"),
            _ => {}
        }
        match error {
            Error::Refused(objections) => {
                problem.objections = objections.iter().map(ObjectionView::from).collect();
            }
            Error::Invalid { faults, .. } => {
                problem.errors = faults.into_iter().map(FieldError::from).collect();
            }
            _ => {}
        }
        problem
    }
}

/// The status of a class of errors.
pub(crate) fn status_of(class: Class) -> StatusCode {
    match class {
        Class::Malformed => StatusCode::BAD_REQUEST,
        Class::Unknown => StatusCode::NOT_FOUND,
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::TooOften => StatusCode::TOO_MANY_REQUESTS,
        Class::Denied => StatusCode::FORBIDDEN,
        Class::Conflict => StatusCode::CONFLICT,
        Class::Changed => StatusCode::PRECONDITION_FAILED,
        Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Class::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<Problem> for ProblemDocument {
    fn from(problem: Problem) -> Self {
        let title = problem.status.canonical_reason().unwrap_or("Error");
        Self {
            kind: format!("urn:pointsman:problem:{}", problem.code),
            title: title.to_owned(),
            status: problem.status.as_u16(),
            code: problem.code.to_owned(),
            detail: problem.detail,
            remedy: problem.remedy.to_owned(),
            objections: problem.objections,
            errors: problem.errors,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(ProblemDocument::from(self))).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media_type);
        match status {
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Bearer realm=\"pointsman\"");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
