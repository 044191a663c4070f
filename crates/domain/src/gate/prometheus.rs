//! The gate that asks a Prometheus.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Number, Patience, Settings};
use crate::{
    bounds::{Faults, Limit, Limited, TEXT_MAX},
    names::PrometheusName,
};

/// A query to a Prometheus. The first value of the answer must be within the bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PrometheusGate {
    /// Shares of users at which the gate is asked, in percent (0: before any user is moved). Empty: at
    /// each stage with users on both releases or, if there is none, before the first shift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Name of the Prometheus in the catalogue.
    pub prometheus: PrometheusName,
    /// Address of the server; set from the catalogue when a deployment begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Query in PromQL.
    pub query: String,
    /// Minimum value. At least one of `min` and `max` is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<f64>))]
    pub min: Option<Number>,
    /// Maximum value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<f64>))]
    pub max: Option<Number>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = Patience::default))]
    pub patience: Patience,
    /// Time that the gate may stay open after its stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = Deadline::default))]
    pub deadline: Deadline,
}

impl Limited for PrometheusGate {
    const LIMITS: &'static [Limit<Self>] = &[Limit::bytes("query", 1..=TEXT_MAX, |it| {
        Some(it.query.len())
    })];
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
        faults.printable("gates.query", &self.query);
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
