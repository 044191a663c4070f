//! The gate that compares what users get.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Settings};
use crate::{
    bounds::{Faults, Limit, Limited},
    evidence::Tolerance,
};

/// Errors and latency, new against stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct TrafficGate {
    /// Shares of users at which the gate is asked, in percent. Empty: at each stage with users on both
    /// releases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// What follows from what is measured.
    pub mode: Mode,
    /// Allowed increase in errors and latency.
    pub tolerance: Tolerance,
    /// Time at the beginning of each stage in which instances warm up, in seconds: only gross errors, 20
    /// points more than stable's, count. It lasts for at least five of stable's 95th percentiles. 0:
    /// everything counts from the first request on.
    pub warm_up_seconds: u32,
    /// Time that the gate may stay open after its stage, in seconds.
    #[cfg_attr(feature = "schema", schema(value_type = u32))]
    pub deadline: Deadline,
    /// What follows if it is still open then.
    pub on_deadline: OnDeadline,
}

/// What follows from what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The deployment waits until the gate is met, and is rolled back when it fails.
    #[default]
    Enforce,
    /// The gate is only shown.
    Observe,
}

/// What follows when a comparison cannot say by its deadline whether the new release is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// The gate fails.
    Fail,
    /// A person is asked, unless there are strong signs that the release is worse: then the gate fails.
    #[default]
    Ask,
    /// The gate passes, unless there are signs that the release is worse: then a person is asked, or the
    /// gate fails.
    Pass,
}

impl Default for TrafficGate {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            mode: Mode::default(),
            tolerance: Tolerance::default(),
            warm_up_seconds: 30,
            deadline: Deadline::default(),
            on_deadline: OnDeadline::default(),
        }
    }
}

impl Limited for TrafficGate {
    const LIMITS: &'static [Limit<Self>] = &[Limit::number("warm_up_seconds", 0..=3600, |it| {
        Some(it.warm_up_seconds)
    })];
}

impl Settings for TrafficGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn on_deadline(&self) -> OnDeadline {
        self.on_deadline
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("gates", self);
        self.tolerance.faults("tolerance", faults);
        super::compares_at(&self.at, faults);
    }
}

impl fmt::Display for TrafficGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("errors and latency against stable")
    }
}
