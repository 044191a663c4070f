//! What was there before the first change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Roles, Strategy};
use crate::{
    observation::{InstanceId, Observation, Sizes},
    release::{Launch, LaunchId},
    slice::Slice,
    users::Weights,
};

/// What is changed for a while by a deployment, as it was before the first change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Which slice has which role.
    pub roles: Roles,
    /// The slices that the deployment may change.
    pub slices: BTreeMap<Slice, SliceBaseline>,
    /// How users were split.
    pub weights: Weights,
}

/// One slice before the first change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SliceBaseline {
    /// Its capacity settings.
    pub sizes: Sizes,
    /// What it launched.
    pub launch: Option<Launch>,
    /// Whether rebalancing was off already.
    pub rebalancing_suspended: bool,
    /// Which instances were protected from scale-in.
    pub protected: BTreeSet<InstanceId>,
    /// Of what there were instances.
    pub present: BTreeSet<LaunchId>,
}

impl Baseline {
    /// What `seen` says about the slices that a deployment by `strategy` may change.
    #[must_use]
    pub fn of(seen: &Observation, strategy: &Strategy, stable: Option<&Launch>) -> Self {
        let roles = Roles::of(strategy, stable.map(|stable| &stable.version), seen);
        let slices = [roles.live, roles.next].map(|slice| (slice, SliceBaseline::of(seen, slice)));
        Self {
            roles,
            slices: slices.into(),
            weights: seen.weights.clone(),
        }
    }

    /// One slice.
    #[must_use]
    pub fn slice(&self, slice: Slice) -> Option<&SliceBaseline> {
        self.slices.get(&slice)
    }

    /// The sizes of the slice that stable is in.
    #[must_use]
    pub fn live_sizes(&self) -> Sizes {
        self.slice(self.roles.live)
            .map(|slice| slice.sizes)
            .unwrap_or_default()
    }
}

impl SliceBaseline {
    /// What runs in it, and what it starts in the place of instances that are lost just now.
    pub(super) fn leftovers(&self) -> Vec<LaunchId> {
        let starts = self.launch.iter().filter(|_| self.sizes.desired > 0);
        let all = self.present.iter().chain(starts.map(|launch| &launch.id));
        let all: BTreeSet<LaunchId> = all.cloned().collect();
        all.into_iter().collect()
    }

    fn of(seen: &Observation, slice: Slice) -> Self {
        let there = seen.slice(slice);
        Self {
            sizes: there.sizes,
            protected: there
                .present()
                .filter(|i| i.protected)
                .map(|i| i.id.clone())
                .collect(),
            present: there.present().map(|i| i.launch.clone()).collect(),
            launch: there.launches.clone(),
            rebalancing_suspended: there.rebalancing_suspended,
        }
    }
}
