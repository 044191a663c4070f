//! Gates: what must be measured, or said by a person, before more users are moved.
//!
//! A look at a gate has one of three answers: *met*, *failed*, or *open*: not enough is known yet.
//! Missing data leaves a gate open, and an open gate fails at its deadline: no traffic is never
//! success.
//!
//! Invariant: a gate says what is asked; where the answer comes from (the router, a Prometheus, an
//! HTTP check, a person) is the engine's business.

mod answer;
mod approval;
mod cloudwatch;
mod compare;
mod http;
mod prometheus;
mod shadow;
mod tcp;
mod traffic;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    bounds::{Faults, Limit, Limited, WEEK},
    evidence::Tolerance,
    names::PrometheusName,
    who::WhoCanAct,
};

pub use answer::{Answer, Counted, GateLook, GateState, Said, Verdict};
pub use approval::ApprovalGate;
pub(crate) use cloudwatch::alarms;
pub use cloudwatch::{CloudWatchGate, CloudWatchMetric};
pub use compare::CompareGate;
pub use http::HttpGate;
pub use prometheus::PrometheusGate;
pub use shadow::ShadowGate;
pub use tcp::TcpGate;
pub use traffic::{Mode, OnDeadline, TrafficGate};

/// A condition on the way to more users; `gate` says which kind. Missing data leaves a gate open, and
/// an open gate fails at its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// Errors and latency of the new release, compared with stable's as the router counts them.
    Traffic(TrafficGate),
    /// The answers to dark traffic, compared with those that users got.
    Shadow(ShadowGate),
    /// Counters of a Prometheus, compared with stable's.
    Compare(CompareGate),
    /// A query to a Prometheus.
    Prometheus(PrometheusGate),
    /// An alarm or a metric of CloudWatch.
    #[serde(rename = "cloudwatch")]
    CloudWatch(CloudWatchGate),
    /// An HTTP check.
    Http(HttpGate),
    /// A TCP port that accepts connections.
    Tcp(TcpGate),
    /// A person's approval.
    Approval(ApprovalGate),
}

/// What the settings of every kind of gate say; `Display` is the gate in words.
trait Settings: fmt::Display {
    /// The shares of users that it names, in percent.
    fn at(&self) -> &[u8];

    /// How long it may stay open once its stage's time is over.
    fn deadline(&self) -> Deadline;

    /// What follows if it is open then.
    fn on_deadline(&self) -> OnDeadline {
        OnDeadline::Fail
    }

    /// Whether anything follows from it.
    fn mode(&self) -> Mode {
        Mode::Enforce
    }

    /// How often the world outside is asked; `None` where it is not asked.
    fn patience(&self) -> Option<Patience> {
        None
    }

    /// Who can end it while it is open.
    fn who_can_act(&self) -> WhoCanAct {
        WhoCanAct::Engine
    }

    /// The rules that it breaks, beyond those of every gate.
    fn faults(&self, faults: &mut Faults);
}

/// How often something is asked, and how many bad answers in a row it may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// Time between two questions, in seconds.
    pub interval_seconds: u32,
    /// Number of bad answers in a row that make the gate fail.
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

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Gate {
    fn settings(&self) -> &dyn Settings {
        match self {
            Self::Traffic(gate) => gate,
            Self::Shadow(gate) => gate,
            Self::Compare(gate) => gate,
            Self::Prometheus(gate) => gate,
            Self::CloudWatch(gate) => gate,
            Self::Http(gate) => gate,
            Self::Tcp(gate) => gate,
            Self::Approval(gate) => gate,
        }
    }

    /// The stable code of its kind, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Traffic(_) => "traffic",
            Self::Shadow(_) => "shadow",
            Self::Compare(_) => "compare",
            Self::Prometheus(_) => "prometheus",
            Self::CloudWatch(_) => "cloudwatch",
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Approval(_) => "approval",
        }
    }

    /// Who can end it while it is open.
    #[must_use]
    pub fn who_can_act(&self) -> WhoCanAct {
        self.settings().who_can_act()
    }

    /// The shares of users that it names, in percent.
    #[must_use]
    pub fn at(&self) -> &[u8] {
        self.settings().at()
    }

    /// How long it may stay open once its stage's time is over, in milliseconds.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        u64::from(self.settings().deadline().0) * 1000
    }

    /// What follows if it is open then.
    #[must_use]
    pub fn on_deadline(&self) -> OnDeadline {
        self.settings().on_deadline()
    }

    /// It is only shown.
    #[must_use]
    pub fn only_observes(&self) -> bool {
        self.settings().mode() == Mode::Observe
    }

    /// It compares what two slices do, so both must have users.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.comparison().is_some()
    }

    /// What it tolerates and how long each stage warms up in seconds, where it compares two releases over
    /// time.
    #[must_use]
    pub fn comparison(&self) -> Option<(Tolerance, u32)> {
        match self {
            Self::Traffic(gate) => Some((gate.tolerance.clone(), gate.warm_up_seconds)),
            Self::Compare(gate) => Some((gate.tolerance(), gate.warm_up_seconds)),
            _ => None,
        }
    }

    /// The Prometheus that it asks, and where the address of the server is kept.
    #[must_use]
    pub fn prometheus(&mut self) -> Option<(&PrometheusName, &mut String)> {
        match self {
            Self::Prometheus(gate) => Some((&gate.prometheus, &mut gate.url)),
            Self::Compare(gate) => Some((&gate.prometheus, &mut gate.url)),
            _ => None,
        }
    }

    /// The name of the Prometheus that it asks.
    #[must_use]
    pub fn prometheus_name(&self) -> Option<&PrometheusName> {
        match self {
            Self::Prometheus(gate) => Some(&gate.prometheus),
            Self::Compare(gate) => Some(&gate.prometheus),
            _ => None,
        }
    }

    /// How often the world outside is asked, and how many bad answers in a row make it fail; `None`
    /// where nobody outside is asked.
    #[must_use]
    pub fn patience(&self) -> Option<Patience> {
        self.settings().patience()
    }

    /// It asks the provider of the server group.
    #[must_use]
    pub fn asks_provider(&self) -> bool {
        matches!(self, Self::CloudWatch(_))
    }

    /// When the world outside is asked, in milliseconds between two questions.
    #[must_use]
    pub fn asked_every_ms(&self) -> Option<u64> {
        let patience = self.patience()?;
        Some(u64::from(patience.interval_seconds) * 1000)
    }
}

impl Limited for Gate {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("deadline", 1..=WEEK, |it| Some(it.settings().deadline().0)),
        Limit::each("at", 0..=100, Gate::at),
    ];
}

impl Limited for Patience {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("interval_seconds", 1..=3600, |it| Some(it.interval_seconds)),
        Limit::number("bad_answers", 1..=100, |it| Some(it.bad_answers)),
    ];
}

#[cfg(feature = "schema")]
impl Gate {
    /// The limits of the settings of every kind.
    pub(crate) fn limits(into: &mut crate::bounds::schema::Limits<'_>) {
        into.of::<Self>();
        into.of::<Patience>();
        into.of::<ShadowGate>();
        into.of::<TrafficGate>();
        into.of::<CompareGate>();
        into.of::<PrometheusGate>();
        into.of::<HttpGate>();
        into.of::<TcpGate>();
    }
}

/// Notes where a gate that compares is asked and cannot: without users on both releases.
fn compares_at(at: &[u8], faults: &mut Faults) {
    let compares = at.iter().all(|percent| (1..100).contains(percent));
    let rule = "must be from 1 to 99 for a gate that compares the new release with stable";
    faults.unless(compares, "gates.at", rule);
}

/// Notes the rules that gates break, those of a deployment or of a server group. How many there may be,
/// their owner says.
pub(crate) fn check(gates: &[Gate], faults: &mut Faults) {
    for gate in gates {
        gate.settings().faults(faults);
        if let Some(patience) = gate.patience() {
            faults.limits("gates.patience", &patience);
        }
        faults.limits("gates", gate);
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compares_is_asked_only_where_both_releases_have_users() {
        let refused = |text: &str, percent: u8| {
            let mut gate: serde_json::Value = serde_json::from_str(text).unwrap();
            gate["at"] = serde_json::json!([percent]);
            let gate: Gate = serde_json::from_value(gate).unwrap();
            let mut faults = Faults::default();
            check(&[gate], &mut faults);
            faults.all().iter().any(|fault| fault.field == "gates.at")
        };
        let traffic = r#"{"gate": "traffic"}"#;
        let compare = r#"{"gate": "compare", "prometheus": "main", "bad": "b{v='$version'}", "all": "a{v='$version'}"}"#;
        for text in [traffic, compare] {
            let at = [0, 1, 99, 100].map(|percent| refused(text, percent));
            assert_eq!(at, [true, false, false, true], "{text}");
        }
        let http = r#"{"gate": "http", "url": "http://check"}"#;
        assert_eq!([0, 100].map(|percent| refused(http, percent)), [false; 2]);
    }

    #[test]
    fn a_kind_is_the_word_that_is_written() {
        for text in [
            r#"{"gate": "traffic"}"#,
            r#"{"gate": "shadow"}"#,
            r#"{"gate": "compare", "prometheus": "main", "bad": "b{v='$version'}", "all": "a{v='$version'}"}"#,
            r#"{"gate": "prometheus", "prometheus": "main", "query": "up"}"#,
            r#"{"gate": "cloudwatch"}"#,
            r#"{"gate": "http", "url": "http://check"}"#,
            r#"{"gate": "tcp", "address": "cart:6379"}"#,
            r#"{"gate": "approval"}"#,
        ] {
            let gate: Gate = serde_json::from_str(text).unwrap();
            let written = serde_json::to_value(&gate).unwrap();
            assert_eq!(written["gate"], gate.as_str());
        }
    }

    #[test]
    fn nothing_in_a_gate_moves_a_cursor_or_the_end_of_an_address() {
        for (text, field) in [
            (
                r#"{"gate": "prometheus", "prometheus": "main", "query": "up\u001b[2J", "max": 1}"#,
                "gates.query",
            ),
            (
                r#"{"gate": "compare", "prometheus": "main", "bad": "b$version\u009b", "all": "a$version"}"#,
                "gates.bad",
            ),
            (
                r#"{"gate": "compare", "prometheus": "main", "bad": "b$version", "all": "a$version\r"}"#,
                "gates.all",
            ),
            (
                r#"{"gate": "http", "url": "http://check/\r\nx"}"#,
                "gates.url",
            ),
            (
                r#"{"gate": "tcp", "address": "cart\u0007:6379"}"#,
                "gates.address",
            ),
        ] {
            let gate: Gate = serde_json::from_str(text).unwrap();
            let mut faults = Faults::default();
            gate.settings().faults(&mut faults);
            let fields: Vec<String> = faults.all().into_iter().map(|it| it.field).collect();
            assert_eq!(fields, [field], "{text}");
        }
    }
}
