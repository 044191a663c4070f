//! Blue/green and canary: fill the slice that nobody uses, move the users over, let the old one go.
//!
//! ```text
//! fill next -> (dark traffic) -> (shift w, bake and gates)* -> shift 100 -> bake warm -> retire live
//! ```
//!
//! Both strategies are this one list; they differ in their stages. Until the last step the whole old
//! slice runs, so the way back is one change of weights.
//!
//! Invariant: the share of the new release only grows; the old slice is retired only while it has no
//! users.

use serde::{Deserialize, Serialize};

use super::{Bake, Fill, Retire, Situation, Step, Until};
use crate::{
    bounds::{Faults, GATES_MAX, HEALTH_DEADLINE, Limit, Limited, NAMES_MAX, PERCENT, WEEK},
    gate::{self, Gate, ShadowGate},
    observation::Slice,
    release::Launch,
    traffic::{Compare, Mirror},
    users::{Split, Weights},
};

mod stages;

pub use stages::{Stages, StagesInvalid};

/// The numbers of a blue/green or canary deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct TwoSlices {
    /// Shares of users that are moved one after the other. The last stage is always 100 %, written or not.
    pub stages: Vec<Stage>,
    /// Conditions on the way to more users. Left out: the gates of the server group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gates: Option<Vec<Gate>>,
    /// Dark traffic before any user is moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Time that the old slice stays ready for a rollback once all users are moved, in seconds.
    pub warm_seconds: u32,
    /// Keeps the old slice for good, so that users can be switched back to it.
    pub keep_old: bool,
    /// Time for new instances to become healthy, in seconds.
    pub health_deadline_seconds: u32,
}

/// A share of the users, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Users on the new release, in percent; more than in the stage before.
    pub percent: u8,
    /// Minimum time before the next stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = 0))]
    pub seconds: u32,
}

/// Dark traffic before any user is moved: copies of requests, whose answers no user gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Requests that are copied, in percent.
    pub percent: u8,
    /// Minimum time, in seconds.
    #[serde(default = "a_minute")]
    #[cfg_attr(feature = "schema", schema(default = a_minute))]
    pub seconds: u32,
    /// HTTP methods whose requests are copied in addition to GET and HEAD. Name only what is safe to do
    /// twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Compares the answers; a gate then decides on the differences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// What the comparison tolerates.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = ShadowGate::default))]
    pub gate: ShadowGate,
}

fn a_minute() -> u32 {
    60
}

impl Default for TwoSlices {
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            gates: None,
            shadow: None,
            warm_seconds: 600,
            keep_old: false,
            health_deadline_seconds: 300,
        }
    }
}

/// Most stages of one deployment.
const STAGES_MAX: u32 = 100;

impl Limited for TwoSlices {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("health_deadline_seconds", HEALTH_DEADLINE, |it| {
            Some(it.health_deadline_seconds)
        }),
        Limit::number("warm_seconds", 0..=WEEK, |it| Some(it.warm_seconds)),
        Limit::items("stages", 0..=STAGES_MAX, |it| it.stages.len()),
        Limit::items("gates", 0..=GATES_MAX, |it| {
            it.gates.iter().flatten().count()
        }),
    ];
}

impl Limited for Stage {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("percent", PERCENT, |it| Some(it.percent.into())),
        Limit::number("seconds", 0..=WEEK, |it| Some(it.seconds)),
    ];
}

impl Limited for Shadow {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("percent", PERCENT, |it| Some(it.percent.into())),
        Limit::number("seconds", 1..=WEEK, |it| Some(it.seconds)),
        Limit::items("methods", 0..=NAMES_MAX, |it| it.methods.len()),
    ];
}

impl Shadow {
    fn faults(&self, at: &str, faults: &mut Faults) {
        faults.limits(at, self);
        faults.limits(&format!("{at}.gate"), &self.gate);
        let capital =
            |method: &String| !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
        let rule = "must be HTTP methods in capital letters, such as POST";
        let good = self.methods.iter().all(capital);
        faults.unless(good, &format!("{at}.methods"), rule);
        if let Some(compare) = &self.compare {
            compare.faults(&format!("{at}.compare"), faults);
        }
    }
}

impl TwoSlices {
    /// Notes the rules that its numbers and gates break.
    pub(crate) fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
        for stage in &self.stages {
            faults.limits("stages", stage);
        }
        let growing = self
            .stages
            .is_sorted_by(|one, next| one.percent < next.percent);
        let rule = "must be growing shares, each larger than the one before";
        faults.unless(growing, "stages", rule);
        if let Some(shadow) = &self.shadow {
            shadow.faults("shadow", faults);
        }
        gate::check(self.gates.as_deref().unwrap_or_default(), faults);
    }

    /// The stages, the last one at 100 %.
    pub fn stages(&self) -> impl Iterator<Item = Stage> {
        let ends = self.stages.last().is_some_and(|last| last.percent == 100);
        let end = (!ends).then_some(Stage {
            percent: 100,
            seconds: 0,
        });
        self.stages.iter().copied().chain(end)
    }

    /// The gates that are looked at while `percent` of the users are on the new release (0: before
    /// any is).
    pub fn gates_at(&self, percent: u8) -> Vec<Gate> {
        let split = self.stages().any(|stage| stage.percent < 100);
        let usual = if split {
            (1..100).contains(&percent)
        } else {
            percent == 0
        };
        let here = |gate: &&Gate| match gate.at() {
            [] => usual && (split || !gate.compares()),
            at => at.contains(&percent),
        };
        let gates = self.gates.iter().flatten();
        gates.filter(here).cloned().collect()
    }
}

/// The steps, for a group whose stable release has a slice of its own.
#[must_use]
pub fn steps(
    options: &TwoSlices,
    situation: &Situation,
    new: &Launch,
    stable: &Launch,
) -> Vec<Step> {
    let roles = situation.roles;
    let mut way = Way {
        next: roles.next,
        live: roles.live,
        new,
        count: situation.capacity.asked,
        steps: Vec::new(),
    };
    if situation.users_on_next {
        way.shift(0, None);
    }
    for leftover in &situation.leftovers {
        way.retire(roles.next, leftover.clone());
    }
    way.fill();
    if let Some(shadow) = &options.shadow {
        way.shift(0, Some(mirror(shadow, roles.live, roles.next)));
        let gate = shadow.compare.is_some().then(|| shadow.gate.clone());
        way.bake(shadow.seconds, gate.map(Gate::Shadow).into_iter().collect());
    }
    way.bake(0, options.gates_at(0));
    for stage in options.stages() {
        way.shift(stage.percent, None);
        way.bake(stage.seconds, options.gates_at(stage.percent));
    }
    if !options.keep_old {
        way.warm(options.warm_seconds);
        way.retire(roles.live, stable.id.clone());
    }
    way.steps
}

fn mirror(shadow: &Shadow, from: Slice, to: Slice) -> Mirror {
    Mirror {
        from,
        to,
        percent: shadow.percent,
        methods: shadow.methods.clone(),
        compare: shadow.compare.clone(),
    }
}

/// The steps so far.
struct Way<'a> {
    next: Slice,
    live: Slice,
    new: &'a Launch,
    count: u32,
    steps: Vec<Step>,
}

impl Way<'_> {
    fn fill(&mut self) {
        self.steps.push(Step::Fill(Fill {
            slice: self.next,
            launch: self.new.id.clone(),
            count: self.count,
            beside: 0,
        }));
    }

    fn shift(&mut self, percent: u8, mirror: Option<Mirror>) {
        self.steps.push(Step::Shift(Split {
            weights: Weights::split(self.next, self.live, percent),
            mirror,
        }));
    }

    fn bake(&mut self, seconds: u32, gates: Vec<Gate>) {
        if seconds > 0 || !gates.is_empty() {
            self.watch(Until {
                seconds,
                gates,
                warm: None,
            });
        }
    }

    fn warm(&mut self, seconds: u32) {
        if seconds > 0 {
            self.watch(Until {
                seconds,
                gates: Vec::new(),
                warm: Some(self.live),
            });
        }
    }

    fn watch(&mut self, until: Until) {
        self.steps.push(Step::Bake(Bake {
            slice: self.next,
            launch: self.new.id.clone(),
            count: self.count,
            until,
        }));
    }

    fn retire(&mut self, slice: Slice, launch: crate::release::LaunchId) {
        self.steps.push(Step::Retire(Retire {
            slice,
            launch,
            keep: 0,
            leaving: 0,
            only_if_any: false,
        }));
    }
}

#[cfg(test)]
mod tests;
