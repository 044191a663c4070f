//! The time of a deployment: how long it was driven.
//!
//! Invariant: everything that a deployment waits for is measured in its own time. It passes by a clock
//! that nobody can set, stands still while nobody drives the deployment or a person holds it, and is
//! stored with the record, so that a restart takes it up again from there. No wall clock is ever
//! compared with another one, or with itself at another time; it is only shown.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Deployment;
use crate::{
    effect::Effect,
    observation::InstanceId,
    plan::Step,
    time::{DrivenMs, UnixMs},
};

/// How far the wall clock may be from a deployment's own time before what people are shown follows it,
/// and how far it may move against a steady clock before it counts as set, in milliseconds.
pub const CLOCK_SET_MS: u64 = 2000;

/// The time of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnTime {
    /// How long it was driven.
    pub driven: DrivenMs,
    /// What the wall clock would have shown in the beginning, had it been driven without a break:
    /// for people, who read the wall clock.
    pub zero: UnixMs,
}

impl OwnTime {
    /// What the wall clock shows at `moment`, or showed.
    #[must_use]
    pub fn on_the_wall(self, moment: DrivenMs) -> UnixMs {
        self.zero.plus_ms(moment.0)
    }
}

/// A condition that holds without a break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when.
    pub since: DrivenMs,
    /// Who is under watch: they must stay, whoever comes in their place. Nobody where the condition
    /// is not about single instances.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub instances: BTreeSet<InstanceId>,
}

impl Held {
    /// A condition that holds from `since` on.
    #[must_use]
    pub fn since(since: DrivenMs) -> Self {
        let instances = BTreeSet::new();
        Self { since, instances }
    }
}

impl Deployment {
    /// Lets `ms` milliseconds pass, after which the wall clock shows `wall`.
    pub fn pass(&mut self, ms: u64, wall: UnixMs) {
        if self.paused.is_none() {
            self.time.driven = self.time.driven.plus_ms(ms);
        }
        let shown = self.time.on_the_wall(self.time.driven);
        let off_ms = wall.since_ms(shown).max(shown.since_ms(wall));
        if off_ms > CLOCK_SET_MS {
            let driven = i64::try_from(self.time.driven.0).unwrap_or(i64::MAX);
            self.time.zero = UnixMs(wall.0.saturating_sub(driven));
        }
    }

    /// Another engine drives it now, or the same one after a crash: the last request may not be known,
    /// so what was seen to hold before says nothing any more. A watch goes on: it is about instances.
    /// Says whether that changed anything.
    pub fn take_over(&mut self) -> bool {
        if self.baseline.is_none() {
            return false;
        }
        self.taken_over_at = Some(self.time.driven);
        if !matches!(self.step(), Some(Step::Bake(_))) {
            self.progress.held = None;
        }
        true
    }

    /// Remembers how many instances a slice was asked to keep.
    pub(super) fn note_sizes(&mut self, effect: &Effect) {
        let asked = match effect {
            Effect::SetSizes { slice, sizes } => Some((*slice, sizes.desired)),
            Effect::SetBounds { slice, min, .. } => Some((*slice, *min)),
            _ => None,
        };
        if let Some((slice, desired)) = asked {
            self.asked_sizes.insert(slice, desired);
        }
    }

    /// The wall clock was set, or the machine slept: whoever was under watch was not watched then, so
    /// a watch begins again. Other waits are not about what happened meanwhile and go on.
    pub fn clock_was_set(&mut self) {
        if matches!(self.step(), Some(Step::Bake(_))) {
            self.progress.since = self.time.driven;
            self.progress.held = None;
        }
    }
}
