//! What a provider sees of one server group at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    names::Version,
    release::{Launch, LaunchId},
    slice::Slice,
    time::UnixMs,
    traffic::{ByMinute, Mirror, Mirrored, Traffic},
    users::Weights,
};

/// The provider's own id of an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl std::fmt::Display for InstanceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The capacity settings of a slice. Invariant: `min <= desired <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes {
    /// The group's own autoscaling never goes below this.
    pub min: u32,
    /// How many instances the provider keeps.
    pub desired: u32,
    /// The group's own autoscaling never goes above this.
    pub max: u32,
}

impl Sizes {
    /// These sizes with other bounds: Desired stays, unless it is out of them.
    #[must_use]
    pub fn within(self, min: u32, max: u32) -> Self {
        let desired = self.desired.max(min).min(max);
        Self { min, desired, max }
    }
}

/// Everything that a provider sees of one server group at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observation {
    /// When the provider answered, by its own clock: for what it dates itself, and nothing else.
    pub at: UnixMs,
    /// How long the question waited until the provider looked, in milliseconds, where many share a look.
    #[serde(default)]
    pub waited_ms: u64,
    /// How old what it shows may be, in milliseconds: providers are eventually consistent. A
    /// condition counts as reached when it was seen to hold for longer than this.
    pub stale_ms_max: u64,
    /// The same for [`Self::weights`], where those may be older: DNS answers are kept for a while.
    #[serde(default)]
    pub weights_stale_ms_max: u64,
    /// The slices that exist. A slice that was never filled may be missing.
    pub slices: BTreeMap<Slice, SliceSeen>,
    /// The weights that routers were *seen to serve*, never the ones that somebody asked for.
    pub weights: Weights,
    /// The dark traffic that routers were seen to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// What was counted of the users' requests, where the provider counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traffic: BTreeMap<Slice, Traffic>,
    /// The same minute by minute, where the provider counts in no other way and the target asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_minute: Option<ByMinute>,
    /// What became of the copies of the present mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Mirrored>,
}

/// What is seen of one slice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SliceSeen {
    /// Capacity settings.
    pub sizes: Sizes,
    /// What new instances are started from; `None` when nothing was ever launched here.
    pub launches: Option<Launch>,
    /// The provider's own rebalancing between zones is switched off (AWS: AZRebalance suspended).
    pub rebalancing_suspended: bool,
    /// Why the provider must not be asked to change this slice now, one sentence each: what somebody
    /// else does with it, or what Pointsman does not know how to handle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<String>,
    /// How many more instances can be started here, where the provider knows (AWS: addresses that are
    /// free in the group's subnets).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<u32>,
    /// What may keep new instances from being started, and is not certain, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the provider says of instances that it could not start, or that are not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Why the provider must not be trusted to replace the instances of this slice on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hazard: Option<String>,
    /// The last instance refresh, where the target asks for it and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshSeen>,
    /// Every instance that the provider lists, dying ones included.
    pub instances: Vec<Instance>,
}

/// What is seen of the last instance refresh of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshSeen {
    /// The provider's own id.
    pub id: String,
    /// What it replaces instances by.
    pub launch: LaunchId,
    /// Where it is.
    pub state: RefreshState,
    /// When the provider began.
    pub started_at: UnixMs,
    /// How much of the group is replaced, in percent.
    pub percent: u32,
    /// How it stands, in the provider's words.
    pub text: String,
}

/// Where an instance refresh is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshState {
    /// It replaces instances, or waits at a checkpoint.
    Running,
    /// Everything is replaced and under watch.
    Baking,
    /// It is being rolled back.
    RollingBack,
    /// It is being cancelled.
    Cancelling,
    /// It succeeded.
    Succeeded,
    /// It failed, was cancelled, or was rolled back.
    Ended,
}

impl RefreshState {
    /// It may still change instances.
    #[must_use]
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Succeeded | Self::Ended)
    }
}

/// One running copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's id.
    pub id: InstanceId,
    /// What it was started from.
    pub launch: LaunchId,
    /// The version it runs, for people.
    pub version: Version,
    /// The zone it is in.
    pub zone: String,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Protected from scale-in.
    pub protected: bool,
    /// When it was started.
    pub started_at: UnixMs,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Started, not yet healthy for the first time.
    Pending,
    /// Healthy by the group's health check *and* known to every router that serves the slice.
    Healthy,
    /// Was healthy or should be by now, and is not. The provider replaces it.
    Unhealthy,
    /// Gets no new requests; those in flight are finished. Neither gone nor a straggler.
    Draining,
    /// Being stopped. Neither gone nor a straggler.
    Terminating,
}

impl InstanceState {
    /// Counts towards the size of its group: anything but draining and terminating.
    #[must_use]
    pub fn is_present(self) -> bool {
        matches!(self, Self::Pending | Self::Healthy | Self::Unhealthy)
    }
}

/// A slice that the provider does not know.
static NOTHING: SliceSeen = SliceSeen {
    sizes: Sizes {
        min: 0,
        desired: 0,
        max: 0,
    },
    launches: None,
    rebalancing_suspended: false,
    obstacles: Vec::new(),
    room: None,
    warnings: Vec::new(),
    trouble: None,
    hazard: None,
    refresh: None,
    instances: Vec::new(),
};

impl Observation {
    /// What is seen of `slice`; an empty slice when the provider knows of none.
    #[must_use]
    pub fn slice(&self, slice: Slice) -> &SliceSeen {
        self.slices.get(&slice).unwrap_or(&NOTHING)
    }
}

impl SliceSeen {
    /// The instances that count towards the size: neither draining nor terminating.
    pub fn present(&self) -> impl Iterator<Item = &Instance> {
        self.instances
            .iter()
            .filter(|instance| instance.state.is_present())
    }
    /// Present instances of `launch`.
    pub fn present_of<'a>(&'a self, launch: &'a LaunchId) -> impl Iterator<Item = &'a Instance> {
        self.present()
            .filter(move |instance| instance.launch == *launch)
    }
    /// Present instances of any other launch.
    pub fn present_others<'a>(
        &'a self,
        launch: &'a LaunchId,
    ) -> impl Iterator<Item = &'a Instance> {
        self.present()
            .filter(move |instance| instance.launch != *launch)
    }
    /// How many instances of any launch are healthy now; some of them may be about to leave.
    #[must_use]
    pub fn healthy(&self) -> u32 {
        count(self.present().filter(|i| i.state == InstanceState::Healthy))
    }
    /// How many instances of `launch` are healthy and sure to stay.
    #[must_use]
    pub fn staying_of(&self, launch: &LaunchId) -> u32 {
        self.staying(self.present_of(launch))
    }
    /// How many of `instances`, which are in this slice, are healthy and sure to stay. Where more are
    /// present than the slice keeps, it is about to stop some: anybody who is not protected. Only
    /// while a refresh replaces instances are there more on purpose.
    pub fn staying<'a>(&self, instances: impl IntoIterator<Item = &'a Instance>) -> u32 {
        let refresh = self.refresh.as_ref();
        let leaving = match refresh.is_some_and(|refresh| refresh.state.is_active()) {
            true => 0,
            false => count(self.present()).saturating_sub(self.sizes.desired),
        };
        let healthy = instances.into_iter();
        let healthy = healthy.filter(|i| i.state == InstanceState::Healthy);
        let (held, open): (Vec<_>, Vec<_>) = healthy.partition(|i| i.protected);
        count(held) + count(open).saturating_sub(leaving)
    }
}

/// How many items there are, in the unit of sizes. Groups are far smaller than 2^32.
pub fn count(items: impl IntoIterator) -> u32 {
    u32::try_from(items.into_iter().count()).unwrap_or(u32::MAX)
}
