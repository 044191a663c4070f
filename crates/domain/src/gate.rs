//! Gates: what must be measured, or said by a person, before more users are moved.
//!
//! A look at a gate has one of three answers: *met*, *failed*, or *open*: not enough is known yet.
//! Missing data leaves a gate open, and an open gate fails at its deadline: no traffic is never
//! success.
//!
//! Invariant: a gate says what is asked; where the answer comes from (the router, a Prometheus, an
//! HTTP check, a person) is the engine's business.

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{self, Tolerance},
    names::PrometheusName,
    time::UnixMs,
};

/// A condition on the way to more users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// Errors and latency of the new release, compared with stable's as the router counts them.
    Traffic(TrafficGate),
    /// The answers to dark traffic, compared with those that users got.
    Shadow(ShadowGate),
    /// A question to a Prometheus.
    Prometheus(PrometheusGate),
    /// What CloudWatch knows of the new release on AWS.
    #[serde(rename = "cloudwatch")]
    CloudWatch(CloudWatchGate),
    /// An HTTP check that answers 2xx when all is well.
    Http(HttpGate),
    /// A person's yes.
    Approval(ApprovalGate),
}

/// Errors and latency, new against stable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrafficGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// What is tolerated.
    pub tolerance: Tolerance,
    /// How long it may stay open after the time of its stage, in seconds.
    pub deadline: Deadline,
}

/// The answers to dark traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowGate {
    /// So many in a thousand answers may differ beyond what stable's own answers do.
    pub margin_permille: u32,
    /// How long it may stay open after the time of the dark traffic, in seconds.
    pub deadline: Deadline,
}

/// A question to a Prometheus. The first value of the answer must be within the bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Which one, by its name in the catalogue.
    pub prometheus: PrometheusName,
    /// Where it answers, filled in from the catalogue when a deployment begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The question, in PromQL.
    pub query: String,
    /// The value may not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// The value may not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[serde(default)]
    pub deadline: Deadline,
}

/// A question to CloudWatch, in the account of the server group: an alarm, or a number of the target
/// group of the new release over the last minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudWatchGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// The name of an alarm that must be OK. Either this or `metric`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// What is measured. Needs `max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<CloudWatchMetric>,
    /// The value may not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[serde(default)]
    pub deadline: Deadline,
}

/// What an Application Load Balancer reports of a target group ("CloudWatch metrics for your
/// Application Load Balancer").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloudWatchMetric {
    /// `TargetResponseTime`, 99th percentile, in seconds.
    TargetResponseTimeP99,
    /// `HTTPCode_Target_5XX_Count` of `RequestCount`, in percent.
    #[serde(rename = "target_5xx_percent")]
    Target5xxPercent,
}

impl std::fmt::Display for CloudWatchMetric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TargetResponseTimeP99 => "p99 response time in seconds",
            Self::Target5xxPercent => "5XX answers in percent",
        })
    }
}

/// An HTTP check: a POST with the deployment in its body. 2xx means that all is well, anything else
/// that it is not, no answer that nothing is known (the convention of Flagger's webhooks).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// At which shares of users it is looked at, in percent (0: before anybody is moved); empty:
    /// wherever both have users, or before anybody is moved when that is nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Where.
    pub url: String,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[serde(default)]
    pub deadline: Deadline,
}

/// A person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalGate {
    /// At which shares of users it is asked for, in percent (0: before anybody is moved).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// By somebody else than who asked for the deployment. Set where the environment type says so.
    pub by_another: bool,
    /// How long it is waited for, in seconds.
    pub deadline: Deadline,
}

/// How often something is asked, and how many bad answers in a row it may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// Between two questions, in seconds.
    pub interval_seconds: u32,
    /// So many bad answers in a row make the gate fail.
    pub bad_answers: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            interval_seconds: 5,
            bad_answers: 3,
        }
    }
}

/// A deadline in seconds; ten minutes unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deadline(pub u32);

impl Default for Deadline {
    fn default() -> Self {
        Self(600)
    }
}

impl Default for ShadowGate {
    fn default() -> Self {
        Self {
            margin_permille: 10,
            deadline: Deadline::default(),
        }
    }
}

impl Default for ApprovalGate {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            by_another: false,
            deadline: Deadline(86_400),
        }
    }
}

/// A finite number, as people write it. Two are the same when their bits are.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}
impl Eq for Number {}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Gate {
    /// The shares of users that it names.
    #[must_use]
    pub fn at(&self) -> &[u8] {
        match self {
            Self::Traffic(gate) => &gate.at,
            Self::Shadow(_) => &[],
            Self::Prometheus(gate) => &gate.at,
            Self::CloudWatch(gate) => &gate.at,
            Self::Http(gate) => &gate.at,
            Self::Approval(gate) => &gate.at,
        }
    }

    /// How long it may stay open once its stage's time is over, in milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        let Deadline(seconds) = match self {
            Self::Traffic(gate) => gate.deadline,
            Self::Shadow(gate) => gate.deadline,
            Self::Prometheus(gate) => gate.deadline,
            Self::CloudWatch(gate) => gate.deadline,
            Self::Http(gate) => gate.deadline,
            Self::Approval(gate) => gate.deadline,
        };
        u64::from(seconds) * 1000
    }

    /// It compares what two slices do, so both must have users.
    #[must_use]
    pub fn compares(&self) -> bool {
        matches!(self, Self::Traffic(_))
    }

    /// It asks the provider of the server group.
    #[must_use]
    pub fn asks_provider(&self) -> bool {
        matches!(self, Self::CloudWatch(_))
    }

    /// When the world outside is asked, in milliseconds between two questions.
    #[must_use]
    pub fn asked_every_ms(&self) -> Option<u64> {
        match self {
            Self::Prometheus(PrometheusGate { patience, .. })
            | Self::CloudWatch(CloudWatchGate { patience, .. })
            | Self::Http(HttpGate { patience, .. }) => {
                Some(u64::from(patience.interval_seconds) * 1000)
            }
            Self::Traffic(_) | Self::Shadow(_) | Self::Approval(_) => None,
        }
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Traffic(_) => f.write_str("errors and latency against stable"),
            Self::Shadow(_) => f.write_str("answers to dark traffic"),
            Self::Prometheus(gate) => write!(f, "{} of {}", gate.query, gate.prometheus),
            Self::CloudWatch(CloudWatchGate {
                alarm: Some(alarm), ..
            }) => write!(f, "CloudWatch alarm {alarm}"),
            Self::CloudWatch(CloudWatchGate {
                metric: Some(metric),
                ..
            }) => write!(f, "{metric} by CloudWatch"),
            Self::CloudWatch(_) => f.write_str("CloudWatch"),
            Self::Http(gate) => write!(f, "check at {}", gate.url),
            Self::Approval(ApprovalGate { by_another, .. }) if *by_another => {
                f.write_str("approval by somebody else")
            }
            Self::Approval(_) => f.write_str("approval"),
        }
    }
}

/// What the world outside answered to a gate's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Index of the gate in its step.
    pub gate: usize,
    /// When.
    pub at: UnixMs,
    /// What it said.
    pub said: Said,
}

/// One answer from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum Said {
    /// All is well.
    Good {
        /// What was measured, for people.
        text: String,
        /// The value, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Number>,
    },
    /// It is not.
    Bad {
        /// What was measured, for people.
        text: String,
        /// The value, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Number>,
    },
    /// Nothing is known.
    Nothing {
        /// Why, for people.
        text: String,
    },
}

/// Where a gate of the current step stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GateState {
    /// Its last verdict.
    pub verdict: Verdict,
    /// When the world outside was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<UnixMs>,
    /// Bad answers in a row.
    #[serde(default)]
    pub bad_answers: u32,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// The last look, in words.
    #[serde(default)]
    pub text: String,
}

/// What a look at a gate came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not enough is known yet.
    #[default]
    Open,
    /// The condition holds.
    Met,
    /// It does not, and will not.
    Failed,
}

impl From<&evidence::Verdict> for Verdict {
    fn from(verdict: &evidence::Verdict) -> Self {
        match verdict {
            evidence::Verdict::Worse => Self::Failed,
            evidence::Verdict::NotWorse => Self::Met,
            evidence::Verdict::NotEnough { .. } => Self::Open,
        }
    }
}

/// One look at one gate: stored, streamed and drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateLook {
    /// Index of the gate in its step.
    pub gate: usize,
    /// Which gate, in words.
    pub name: String,
    /// What the look came to.
    pub verdict: Verdict,
    /// The same with its numbers, as a sentence.
    pub text: String,
    /// The numbers, where users' traffic was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<evidence::Look>,
    /// The value, where something outside was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
}
