//! The gate that waits for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::{
    bounds::{DAY, Faults},
    who::WhoCanAct,
};

/// A person's approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalGate {
    /// Shares of users at which the gate is asked, in percent (0: before any user is moved). Empty: at
    /// each stage with users on both releases or, if there is none, before the first shift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Requires another person than the one who requested the deployment. Set where the environment
    /// type requires it.
    pub by_another: bool,
    /// Time that the gate may stay open after its stage, in seconds.
    #[cfg_attr(feature = "schema", schema(value_type = u32))]
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

    fn who_can_act(&self) -> WhoCanAct {
        WhoCanAct::Approver
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
