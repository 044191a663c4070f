//! The gate that compares what users get.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::{bounds::Faults, evidence::Tolerance};

/// Errors and latency, new against stable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct TrafficGate {
    /// Shares of users at which the gate is asked, in percent. Empty: at each stage with users on both
    /// releases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Allowed increase in errors and latency.
    pub tolerance: Tolerance,
    /// Time that the gate may stay open after its stage, in seconds.
    #[cfg_attr(feature = "schema", schema(value_type = u32))]
    pub deadline: Deadline,
}

impl Settings for TrafficGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("tolerance", &self.tolerance);
    }
}

impl fmt::Display for TrafficGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("errors and latency against stable")
    }
}
