//! The steps of a plan: conditions, each with all its numbers.

use serde::{Deserialize, Serialize};

use super::instance_refresh::Preferences;
use crate::{gate::Gate, observation::Slice, release::LaunchId, users::Split};

/// One condition to reach; `step` says which kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = Condition))]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Enough healthy instances of a launch are in a slice.
    Fill(Fill),
    /// Users are split this way, and routers were seen to do so.
    Shift(Split),
    /// A launch stayed healthy under watch.
    Bake(Bake),
    /// AWS replaced everything in a slice.
    Refresh(Refresh),
    /// No instance refresh of this deployment is under way.
    EndRefresh(EndRefresh),
    /// A launch left a slice.
    Retire(Retire),
}

/// `count` healthy instances of `launch` are in `slice`, while `beside` others may stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Fill {
    /// The slice that is filled.
    pub slice: Slice,
    /// What its new instances run.
    pub launch: LaunchId,
    /// How many of them are healthy at least.
    pub count: u32,
    /// How many instances of other launches stay meanwhile.
    pub beside: u32,
}

/// `count` instances of `launch` stayed healthy in `slice` until `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Bake {
    /// The slice that is watched.
    pub slice: Slice,
    /// What its instances run.
    pub launch: LaunchId,
    /// How many of them are healthy.
    pub count: u32,
    /// What ends the bake.
    pub until: Until,
}

/// AWS replaced everything in `slice`: `count` healthy instances of `launch` are there, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Refresh {
    /// The slice whose instances are replaced.
    pub slice: Slice,
    /// What new instances run.
    pub launch: LaunchId,
    /// How many instances there were when it began.
    pub count: u32,
    /// How AWS is asked to do it.
    pub preferences: Preferences,
}

/// No instance refresh of this deployment is under way in `slice`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EndRefresh {
    /// The slice whose instances were being replaced.
    pub slice: Slice,
}

/// At most `keep` instances of `launch` are left in `slice`, which keeps `leaving` instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Retire {
    /// The slice that shrinks.
    pub slice: Slice,
    /// The launch that goes. A release is retired by name, never by age or by chance.
    pub launch: LaunchId,
    /// How many of its instances may stay (more than none only between waves).
    pub keep: u32,
    /// How many instances of any launch stay in all.
    pub leaving: u32,
    /// Where no instance of the launch is listed, the sizes stay as they are: they are not the plan's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_if_any: bool,
}

/// What ends a bake: this many seconds of uninterrupted health, and every gate is met.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Until {
    /// Seconds of uninterrupted health.
    pub seconds: u32,
    /// The gates that must be met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// The slice that stays ready for the way back meanwhile, its users already moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<Slice>,
}

impl Until {
    /// This many seconds of health, and nothing else.
    #[must_use]
    pub fn elapsed(seconds: u32) -> Self {
        Self {
            seconds,
            ..Self::default()
        }
    }

    /// How long `gate` may stay open after the step began, in milliseconds.
    #[must_use]
    pub fn open_ms_max(&self, gate: &Gate) -> u64 {
        u64::from(self.seconds) * 1000 + gate.deadline_ms()
    }
}
