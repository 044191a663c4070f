//! Plans: a short list of conditions, made from a strategy by a pure function.
//!
//! Invariant: a step is a condition to reach, never a command to send. The same plan is right after
//! a crash, after a lost reply, and when half of it holds already.

mod baseline;
pub mod instance_refresh;
pub mod scale_up;
mod step;
pub mod two_slices;
mod way_back;
mod words;

pub use baseline::{Baseline, SliceBaseline};
pub use step::{Bake, EndRefresh, Fill, Refresh, Retire, Step, Until};
pub use way_back::roll_back;
#[cfg(test)]
pub(crate) use words::golden;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{ServerGroup, StrategyKind},
    names::Version,
    observation::Observation,
    release::{Launch, LaunchId},
    slice::Slice,
    users::Weights,
};
use instance_refresh::InstanceRefresh;
use scale_up::ScaleUp;
use two_slices::TwoSlices;

/// How a deployment makes its release the live one, with all its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Strategy {
    /// Double the group, then keep the new half.
    ScaleUp(ScaleUp),
    /// Let AWS replace the instances of the group.
    InstanceRefresh(InstanceRefresh),
    /// Fill the other slice, then move the users over, at once or by weights.
    BlueGreen(TwoSlices),
    /// Fill the other slice, then move the users over in stages, watching what they get.
    Canary(TwoSlices),
    /// Switch the users to the release that the other slice runs.
    Switch,
}

impl Strategy {
    /// Which strategy it is, for the rules.
    #[must_use]
    pub fn kind(&self) -> StrategyKind {
        match self {
            Self::ScaleUp(_) => StrategyKind::ScaleUp,
            Self::InstanceRefresh(_) => StrategyKind::InstanceRefresh,
            Self::BlueGreen(_) => StrategyKind::BlueGreen,
            Self::Canary(_) => StrategyKind::Canary,
            Self::Switch => StrategyKind::Switch,
        }
    }

    /// How long a step may wait for instances to become healthy, in milliseconds.
    #[must_use]
    pub fn health_deadline_ms(&self) -> u64 {
        let seconds = match self {
            Self::ScaleUp(options) => options.health_deadline_seconds,
            Self::InstanceRefresh(options) => options.health_deadline_seconds,
            Self::BlueGreen(options) | Self::Canary(options) => options.health_deadline_seconds,
            Self::Switch => SWITCH_DEADLINE_SECONDS,
        };
        u64::from(seconds) * 1000
    }

    /// The new release gets a slice of its own.
    #[must_use]
    pub fn needs_two_slices(&self) -> bool {
        !matches!(self, Self::ScaleUp(_) | Self::InstanceRefresh(_))
    }

    /// The numbers of a strategy that moves users from slice to slice.
    #[must_use]
    pub fn two_slices(&self) -> Option<&TwoSlices> {
        match self {
            Self::BlueGreen(options) | Self::Canary(options) => Some(options),
            Self::ScaleUp(_) | Self::InstanceRefresh(_) | Self::Switch => None,
        }
    }
}

/// How long a switch waits for instances that fell ill in the very moment, in seconds.
const SWITCH_DEADLINE_SECONDS: u32 = 60;

/// Which slice has which role in one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Where the new release comes up.
    pub next: Slice,
    /// Where stable is. The same as `next` when both share a slice, and without a stable.
    pub live: Slice,
}

impl Roles {
    /// The roles for `strategy` in what is seen: live is the slice with users that launches `stable`,
    /// and where none does the one with most users.
    #[must_use]
    pub fn of(strategy: &Strategy, stable: Option<&Version>, seen: &Observation) -> Self {
        let rank = |slice: &Slice| {
            let share = seen.weights.share(*slice);
            let launches = seen.slices.get(slice).and_then(|it| it.launches.as_ref());
            let of_stable = share > 0 && launches.map(|launch| &launch.version) == stable;
            (of_stable, share)
        };
        // Of equals the last one wins.
        let live = [Slice::Green, Slice::Blue].into_iter().max_by_key(rank);
        let live = live.unwrap_or(Slice::Blue);
        let next = if stable.is_some() && strategy.needs_two_slices() {
            live.other()
        } else {
            live
        };
        Self { next, live }
    }

    /// New and stable have a slice each.
    #[must_use]
    pub fn are_apart(self) -> bool {
        self.next != self.live
    }
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

/// What a plan is made for: one server group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// Its numbers.
    pub capacity: Capacity,
    /// Which slice has which role.
    pub roles: Roles,
    /// What runs in the next slice without being of use any more.
    pub leftovers: Vec<LaunchId>,
    /// Some users are on the next slice although stable is on the other.
    pub users_on_next: bool,
}

impl Situation {
    /// The situation that `baseline` describes.
    #[must_use]
    pub fn of(group: &ServerGroup, baseline: &Baseline) -> Self {
        let roles = baseline.roles;
        let share = baseline.weights.share(roles.next);
        let next = baseline.slice(roles.next).filter(|_| roles.are_apart());
        Self {
            capacity: Capacity::of(group, baseline.live_sizes().desired),
            roles,
            leftovers: next.map(SliceBaseline::leftovers).unwrap_or_default(),
            users_on_next: roles.are_apart() && share > 0,
        }
    }
}

/// The plan that makes `launch` the live one in place of `stable`.
///
/// A first deployment has no stable: nobody is served yet, so its plan is fill, shift and bake.
#[must_use]
pub fn plan(
    strategy: &Strategy,
    situation: &Situation,
    launch: &Launch,
    stable: Option<&Launch>,
) -> Plan {
    let steps = match (stable, strategy) {
        (None, _) => first(strategy, situation, launch),
        (Some(stable), Strategy::ScaleUp(options)) => {
            scale_up::steps(options, situation, launch, stable)
        }
        (Some(stable), Strategy::InstanceRefresh(options)) => {
            instance_refresh::steps(options, situation, launch, stable)
        }
        (Some(stable), Strategy::BlueGreen(options) | Strategy::Canary(options)) => {
            two_slices::steps(options, situation, launch, stable)
        }
        (Some(_), Strategy::Switch) => {
            vec![Step::Shift(Weights::all_on(situation.roles.next).into())]
        }
    };
    Plan { steps }
}

/// Most instances that a plan ever has in one slice.
#[must_use]
pub fn ceiling(strategy: &Strategy, capacity: Capacity) -> u32 {
    match strategy {
        Strategy::ScaleUp(options) => scale_up::ceiling(options, capacity),
        Strategy::InstanceRefresh(options) => instance_refresh::ceiling(options, capacity),
        Strategy::BlueGreen(_) | Strategy::Canary(_) | Strategy::Switch => {
            capacity.asked.max(capacity.current)
        }
    }
}

/// Whether there is room to start one new instance where new and old ones share a slice.
#[must_use]
pub fn has_room(strategy: &Strategy, capacity: Capacity) -> bool {
    match strategy {
        Strategy::ScaleUp(options) => scale_up::has_room(options, capacity),
        Strategy::InstanceRefresh(options) => instance_refresh::has_room(options, capacity),
        Strategy::BlueGreen(_) | Strategy::Canary(_) | Strategy::Switch => true,
    }
}

/// Most instances that a plan ever has in all slices together, of a group that has a stable release.
#[must_use]
pub fn peak(strategy: &Strategy, capacity: Capacity) -> u32 {
    match strategy {
        Strategy::ScaleUp(options) => scale_up::ceiling(options, capacity),
        Strategy::InstanceRefresh(options) => instance_refresh::ceiling(options, capacity),
        Strategy::BlueGreen(_) | Strategy::Canary(_) => capacity.asked + capacity.current,
        Strategy::Switch => capacity.current,
    }
}

/// Fill, shift and bake: nobody is served yet, so users need not wait for the watch, there is nothing
/// to compare with, and nothing to retire.
fn first(strategy: &Strategy, situation: &Situation, launch: &Launch) -> Vec<Step> {
    let (slice, count) = (situation.roles.next, situation.capacity.asked);
    let mut steps = vec![
        Step::Fill(Fill {
            slice,
            launch: launch.id.clone(),
            count,
            beside: situation.capacity.current,
        }),
        Step::Shift(Weights::all_on(slice).into()),
    ];
    let seconds = first_bake_seconds(strategy);
    if seconds > 0 {
        steps.push(Step::Bake(Bake {
            slice,
            launch: launch.id.clone(),
            count,
            until: Until::elapsed(seconds),
        }));
    }
    steps
}

/// How long the instances of a first deployment must stay healthy: its bake, or where it has stages
/// the first one that has a time.
fn first_bake_seconds(strategy: &Strategy) -> u32 {
    match strategy {
        Strategy::ScaleUp(options) => options.bake_seconds,
        Strategy::InstanceRefresh(options) => options.bake_seconds,
        Strategy::BlueGreen(options) | Strategy::Canary(options) => {
            let mut times = options.stages().map(|stage| stage.seconds);
            times.find(|seconds| *seconds > 0).unwrap_or(0)
        }
        Strategy::Switch => 0,
    }
}
