//! The gate that judges the answers to dark traffic.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::bounds::{Faults, Limit, Limited};

/// The answers to dark traffic. It is set as `gate` of `shadow` in a strategy, never in a list of gates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct ShadowGate {
    /// Allowed differences beyond one and a half times those between two answers of stable, per thousand
    /// answers.
    pub margin_permille: u32,
    /// Time that the gate may stay open after the dark traffic, in seconds.
    #[cfg_attr(feature = "schema", schema(value_type = u32))]
    pub deadline: Deadline,
}

impl Default for ShadowGate {
    fn default() -> Self {
        Self {
            margin_permille: 10,
            deadline: Deadline::default(),
        }
    }
}

impl Limited for ShadowGate {
    const LIMITS: &'static [Limit<Self>] = &[Limit::number("margin_permille", 0..=1000, |it| {
        Some(it.margin_permille)
    })];
}

impl Settings for ShadowGate {
    fn at(&self) -> &[u8] {
        &[]
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn faults(&self, faults: &mut Faults) {
        let rule = "must be without `shadow`, which belongs to `shadow.gate` of the strategy";
        faults.add("gates", rule);
    }
}

impl fmt::Display for ShadowGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("answers to dark traffic")
    }
}
