//! Labels, and the words they are made of.
//!
//! Invariant: every word is one of a fixed few; names that people choose come through
//! [`super::Metrics`], which bounds them.

use domain::{
    deployment::{Course, Deployment, Outcome},
    plan::Step,
};
use engine::{
    ports::{ErrorKind, JournalError},
    turn::Turned,
};
use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DeploymentLabels {
    pub(super) environment: String,
    pub(super) strategy: String,
    pub(super) outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DurationLabels {
    pub(super) strategy: String,
    pub(super) outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabels {
    pub(super) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LookLabels {
    pub(super) gate: String,
    pub(super) verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TurnLabels {
    pub(super) result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ErrorLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) method: &'static str,
    pub(super) route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status: u16,
}

/// Every way in which a deployment ends.
pub(super) const OUTCOMES: [Outcome; 4] = [
    Outcome::Succeeded,
    Outcome::RolledBack,
    Outcome::Aborted,
    Outcome::Failed,
];

/// Every way in which a request to a provider fails.
pub(super) const ERROR_KINDS: [ErrorKind; 7] = [
    ErrorKind::Throttled,
    ErrorKind::Unavailable,
    ErrorKind::Denied,
    ErrorKind::Missing,
    ErrorKind::Invalid,
    ErrorKind::NotOffered,
    ErrorKind::Superseded,
];

impl From<ErrorKind> for ErrorLabels {
    fn from(kind: ErrorKind) -> Self {
        let kind = match kind {
            ErrorKind::Throttled => "throttled",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Denied => "denied",
            ErrorKind::Missing => "missing",
            ErrorKind::Invalid => "invalid",
            ErrorKind::NotOffered => "not_offered",
            ErrorKind::Superseded => "superseded",
        };
        Self { kind }
    }
}

/// Everything that a turn comes to.
pub(super) const TURN_WORDS: [&str; 6] =
    ["moved", "waits", "troubled", "ended", "superseded", "lost"];

pub(super) fn turn_word(turned: &Result<Turned, JournalError>) -> &'static str {
    match turned {
        Ok(Turned::Moved(_)) => "moved",
        Ok(Turned::Waits(_)) => "waits",
        Ok(Turned::Troubled(_)) => "troubled",
        Ok(Turned::Ended(_)) => "ended",
        Ok(Turned::Superseded) => "superseded",
        Err(_) => "lost",
    }
}

/// Every status of a deployment that has not ended.
pub(super) const STATUS_WORDS: [&str; 3] = ["running", "paused", "rolling_back"];

/// The status of a deployment that has not ended, as the API calls it.
pub(super) fn status_word(deployment: &Deployment) -> &'static str {
    match (&deployment.paused, deployment.progress.course) {
        (Some(_), _) => "paused",
        (None, Course::RollingBack) => "rolling_back",
        (None, Course::Forward) => "running",
    }
}

/// The kind of a gate of the way forward; there are none on the way back.
pub(super) fn gate_word(deployment: &Deployment, step: usize, gate: usize) -> String {
    let gate = match deployment.plan.steps.get(step) {
        Some(Step::Bake(bake)) => bake.until.gates.get(gate),
        _ => None,
    };
    gate.map_or_else(|| super::OTHER.to_owned(), |gate| tag(gate, "gate"))
}

/// One of the usual methods; people can make up others.
pub(super) fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => super::OTHER,
    }
}

/// A domain's value as the one word that it is in JSON.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => super::OTHER.to_owned(),
    }
}

/// Which variant a domain's value is: the word at `key` in JSON.
pub(super) fn tag(value: &impl Serialize, key: &str) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or(super::OTHER)
        .to_owned()
}
