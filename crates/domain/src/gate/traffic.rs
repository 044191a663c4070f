//! The gate that compares what users get.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::{bounds::Faults, evidence::Tolerance};

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
