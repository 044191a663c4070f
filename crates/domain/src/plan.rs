//! Plans: a short list of conditions, made from a strategy by a pure function.
//!
//! Invariant: a step is a condition to reach, never a command to send. The same plan is right after
//! a crash, after a lost reply, and when half of it holds already.

pub mod preview;
pub mod scale_up;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{ServerGroup, StrategyKind},
    deployment::Baseline,
    observation::{Slice, Weights},
    release::{Launch, LaunchId},
};

/// How a deployment makes its release the live one, with all its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Strategy {
    /// Double the group, keep the new half.
    ScaleUp(scale_up::ScaleUp),
}

impl Strategy {
    /// Which strategy it is, for the rules.
    #[must_use]
    pub fn kind(&self) -> StrategyKind {
        match self {
            Self::ScaleUp(_) => StrategyKind::ScaleUp,
        }
    }

    /// How long a step may wait for instances to become healthy, in milliseconds.
    #[must_use]
    pub fn health_deadline_ms(&self) -> u64 {
        match self {
            Self::ScaleUp(options) => u64::from(options.health_deadline_seconds) * 1000,
        }
    }
}

/// One condition to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// `count` healthy instances of `launch` are in `slice`, while `beside` others may stay.
    Fill {
        /// Where.
        slice: Slice,
        /// Of what.
        launch: LaunchId,
        /// How many of them are healthy at least.
        count: u32,
        /// How many instances of other launches stay meanwhile.
        beside: u32,
    },
    /// Users are split as `weights` says, and routers were seen to do so.
    Shift {
        /// Percent per slice, summing to 100.
        weights: Weights,
    },
    /// `count` instances of `launch` stayed healthy in `slice` until `until`.
    Bake {
        /// Where.
        slice: Slice,
        /// Of what.
        launch: LaunchId,
        /// How many.
        count: u32,
        /// What ends the wait.
        until: Until,
    },
    /// At most `keep` instances of `launch` are left in `slice`, which keeps `leaving` instances.
    Retire {
        /// Where.
        slice: Slice,
        /// Of what. A release is retired by name, never by age or by chance.
        launch: LaunchId,
        /// How many of them may stay (more than none only between waves).
        keep: u32,
        /// How many instances of whatever launch stay in all.
        leaving: u32,
    },
}

/// What ends a bake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "until", rename_all = "snake_case")]
pub enum Until {
    /// So many seconds of uninterrupted health.
    Elapsed {
        /// Seconds.
        seconds: u32,
    },
}

/// An ordered list of conditions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The conditions, in the order in which they are brought about.
    pub steps: Vec<Step>,
}

/// What a plan is made for: the numbers of one server group at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// How many instances there shall be in the end.
    pub asked: u32,
    /// How many the group keeps now.
    pub current: u32,
    /// Never more than this, not even for a moment.
    pub limit: u32,
}

impl Capacity {
    /// The numbers for `group` when it keeps `current` instances now.
    ///
    /// Asked is the group's setting; where the group scales itself, it is the live count within its
    /// bounds (design: never what happened to be running).
    #[must_use]
    pub fn of(group: &ServerGroup, current: u32) -> Self {
        let asked = match group.autoscaling {
            Some(bounds) if current > 0 => current.clamp(bounds.min, bounds.max),
            Some(bounds) => group.size.clamp(bounds.min, bounds.max),
            None => group.size,
        };
        Self {
            asked,
            current,
            limit: group.size_limit.unwrap_or(u32::MAX),
        }
    }
}

/// The plan that makes `launch` the live one in place of `stable`.
///
/// A first deployment has no stable: nobody is served yet, so its plan is fill and shift.
#[must_use]
pub fn plan(
    strategy: &Strategy,
    capacity: Capacity,
    launch: &Launch,
    stable: Option<&Launch>,
) -> Plan {
    let steps = match (stable, strategy) {
        (None, _) => first(capacity, launch),
        (Some(stable), Strategy::ScaleUp(options)) => {
            scale_up::steps(options, capacity, launch, stable)
        }
    };
    Plan { steps }
}

/// Fill and shift: nobody is served yet, so there is nothing to bake against and nothing to retire.
fn first(capacity: Capacity, launch: &Launch) -> Vec<Step> {
    let slice = Slice::Blue;
    vec![
        Step::Fill {
            slice,
            launch: launch.id.clone(),
            count: capacity.asked,
            beside: capacity.current,
        },
        Step::Shift {
            weights: Weights::from([(slice, 100)]),
        },
    ]
}

/// The plan that gives users `stable` back and takes `failed` away: the same for every strategy.
///
/// `baseline` says how many instances stable had before the deployment began, and how users were
/// split. Without a stable nobody was served, so users are taken away before the instances are.
#[must_use]
pub fn roll_back(baseline: &Baseline, stable: Option<&Launch>, failed: &Launch) -> Plan {
    let slice = baseline.slice;
    let shift = Step::Shift {
        weights: baseline.weights.clone(),
    };
    let retire = |leaving| Step::Retire {
        slice,
        launch: failed.id.clone(),
        keep: 0,
        leaving,
    };
    let steps = match stable {
        None => vec![shift, retire(0)],
        Some(stable) => {
            let (launch, count) = (stable.id.clone(), baseline.sizes.desired);
            vec![
                Step::Fill {
                    slice,
                    launch,
                    count,
                    beside: 0,
                },
                shift,
                retire(count),
            ]
        }
    };
    Plan { steps }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill {
                slice,
                launch,
                count,
                beside: 0,
            } => {
                write!(f, "fill {slice}: {count} healthy of {launch}")
            }
            Self::Fill {
                slice,
                launch,
                count,
                beside,
            } => {
                write!(
                    f,
                    "fill {slice}: {count} healthy of {launch}, beside {beside} others"
                )
            }
            Self::Shift { weights } if weights.is_empty() => f.write_str("shift users: none"),
            Self::Shift { weights } => {
                let parts: Vec<String> = weights
                    .iter()
                    .map(|(slice, weight)| format!("{weight} % {slice}"))
                    .collect();
                write!(f, "shift users: {}", parts.join(", "))
            }
            Self::Bake {
                slice,
                launch,
                count,
                until: Until::Elapsed { seconds },
            } => {
                write!(
                    f,
                    "bake {slice}: {count} of {launch} stay healthy for {seconds} s"
                )
            }
            Self::Retire {
                slice,
                launch,
                keep: 0,
                leaving,
            } => {
                write!(f, "retire {slice}: none of {launch} left, {leaving} stay")
            }
            Self::Retire {
                slice,
                launch,
                keep,
                leaving,
            } => {
                write!(f, "retire {slice}: {keep} of {launch} left, {leaving} stay")
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{}. {step}", index + 1)?;
        }
        Ok(())
    }
}
