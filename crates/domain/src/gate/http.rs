//! The gate that asks an HTTP check.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Patience, Settings};
use crate::bounds::{Faults, Limit, Limited, TEXT_MAX, is_http};

/// An HTTP check: a POST with the deployment in its body (the convention of Flagger's webhooks). An
/// answer with status 2xx passes, any other fails, no answer leaves the gate open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HttpGate {
    /// Shares of users at which the gate is asked, in percent (0: before any user is moved). Empty: at
    /// each stage with users on both releases or, if there is none, before the first shift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Address of the check.
    pub url: String,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = Patience::default))]
    pub patience: Patience,
    /// Time that the gate may stay open after its stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = Deadline::default))]
    pub deadline: Deadline,
}

impl Limited for HttpGate {
    const LIMITS: &'static [Limit<Self>] =
        &[Limit::bytes("url", 1..=TEXT_MAX, |it| Some(it.url.len()))];
}

impl Settings for HttpGate {
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
        let rule = "must be an address that begins with http:// or https://, without user name";
        faults.unless(is_http(&self.url), "gates.url", rule);
    }
}

impl fmt::Display for HttpGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check at {}", self.url)
    }
}
