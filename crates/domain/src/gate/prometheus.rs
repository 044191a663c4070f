//! The gate that asks a Prometheus.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Number, Patience, Settings};
use crate::{
    bounds::{Faults, Limit, Limited, TEXT_MAX},
    names::PrometheusName,
};

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

impl Limited for PrometheusGate {
    const LIMITS: &'static [Limit<Self>] =
        &[Limit::bytes("query", 1..=TEXT_MAX, |it| it.query.len())];
}

impl Settings for PrometheusGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.patience)
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("gates", self);
        let asks = !self.query.trim().is_empty();
        faults.unless(asks, "gates.query", "must be a question in PromQL");
        let bounds = [self.min, self.max];
        let bounded = bounds.iter().any(Option::is_some);
        let rule = "must be given a `min` or a `max` for each Prometheus query";
        faults.unless(bounded, "gates", rule);
        let finite = bounds.iter().flatten().all(|n| n.0.is_finite());
        faults.unless(finite, "gates.min and gates.max", "must be finite numbers");
    }
}

impl fmt::Display for PrometheusGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.query, self.prometheus)
    }
}
