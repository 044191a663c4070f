//! Prometheus servers.

use serde::{Deserialize, Serialize};

use crate::names::PrometheusName;

/// A Prometheus that gates can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Unique name.
    pub name: PrometheusName,
    /// Where it answers, such as `http://prometheus.internal:9090`.
    pub url: String,
    /// What it watches.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}
