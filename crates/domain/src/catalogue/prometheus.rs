//! Prometheus servers.

use serde::{Deserialize, Serialize};

use super::manifest::Entry;
use crate::{
    bounds::{Faults, Limit, Limited, URL_MAX, is_http_base},
    names::PrometheusName,
};

/// A Prometheus that gates can query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Unique name of the Prometheus.
    pub name: PrometheusName,
    /// Address of the server, such as `http://prometheus.internal:9090`.
    #[cfg_attr(
        feature = "schema",
        schema(pattern = r"^https?://[^\s/?#@\\]+([/\\][^\s?#]*)?$")
    )]
    pub url: String,
    /// What the server watches.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Limited for Prometheus {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::text("description", |it| &it.description),
        Limit::bytes("url", 1..=URL_MAX, |it| Some(it.url.len())),
    ];
}

impl Entry for Prometheus {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
        let good = is_http_base(&self.url);
        let rule = "must be an address that begins with http:// or https://, without user name, query and fragment";
        faults.unless(good, "url", rule);
    }
}
