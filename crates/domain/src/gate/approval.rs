//! The gate that waits for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::bounds::{DAY, Faults};

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

impl Default for ApprovalGate {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            by_another: false,
            deadline: Deadline(DAY),
        }
    }
}

impl Settings for ApprovalGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn faults(&self, _: &mut Faults) {}
}

impl fmt::Display for ApprovalGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by_another {
            true => "approval by somebody else",
            false => "approval",
        })
    }
}
