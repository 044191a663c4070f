//! Prometheus servers.

use serde::{Deserialize, Serialize};

use super::manifest::Entry;
use crate::{
    bounds::{Faults, URL_MAX, is_http},
    names::PrometheusName,
};

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

impl Entry for Prometheus {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.text("description", &self.description);
        let good = is_http(&self.url) && self.url.len() <= URL_MAX;
        faults.unless(good, "url", "must begin with http:// or https://");
    }
}
