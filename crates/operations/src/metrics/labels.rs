//! Labels, and the words they are made of.
//!
//! Invariant: every word is one of a fixed few; names that people choose come through
//! [`super::Metrics`], which bounds them.

use domain::{
    deployment::{Deployment, Outcome},
    gate::Gate,
};
use engine::{
    ports::{ErrorKind, JournalError},
    turn::Turned,
};
use http::Method;
use prometheus_client::encoding::EncodeLabelSet;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DeploymentLabels {
    pub(super) environment: String,
    pub(super) strategy: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DurationLabels {
    pub(super) strategy: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabels {
    pub(super) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabels {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LookLabels {
    pub(super) gate: &'static str,
    pub(super) verdict: &'static str,
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

/// The kind of a gate of the way forward; there are none on the way back.
pub(super) fn gate_word(deployment: &Deployment, step: usize, gate: usize) -> &'static str {
    let step = deployment.plan.steps.get(step);
    let gate = step.and_then(|step| step.gates().get(gate));
    gate.map_or(super::OTHER, Gate::as_str)
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
