//! One slice of a server group as a value: its instances, and which one starts or stops next.

use std::{collections::BTreeMap, path::PathBuf};

use domain::{
    names::Version,
    observation::{Instance, InstanceId, InstanceState, Sizes, SliceSeen},
    release::{Digest, Launch, LaunchId},
    time::UnixMs,
};
use serde::{Deserialize, Serialize};

/// Maximum number of instances in one slice: a typo in a size must not start ten thousand
/// processes.
pub const SLICE_SIZE_MAX: u32 = 500;
/// The first wait after an instance died early, in milliseconds; doubled each time.
const BACKOFF_MS: u64 = 200;
/// The longest wait, in milliseconds.
const BACKOFF_MS_MAX: u64 = 30_000;

/// One slice of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Capacity settings.
    pub sizes: Sizes,
    /// What new instances start from.
    pub launches: Option<Launch>,
    /// Kept and shown, without effect: one machine has nothing to rebalance.
    pub rebalancing_suspended: bool,
    /// Every instance that is not gone.
    pub members: Vec<Member>,
    /// Number of instances in a row that died early, without a healthy one in between.
    pub early_deaths: u32,
    /// No instance is started before this time.
    pub start_after: UnixMs,
    /// What went wrong with the last instance, if no instance has been healthy since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: InstanceId,
    /// What it was started from.
    pub launch: LaunchId,
    /// The version it runs.
    pub version: Version,
    /// The artifact it runs.
    pub digest: Digest,
    /// The zone it counts for.
    pub zone: String,
    /// Its state.
    pub state: InstanceState,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// When it was started.
    pub started_at: UnixMs,
    /// The port where it listens on 127.0.0.1.
    pub port: u16,
    /// The process, once it runs.
    pub process: Option<ProcessId>,
    /// The folder of its release, once it was unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Whether its last check got an answer, if only a wrong one.
    #[serde(default)]
    pub answers: bool,
}

/// Identifies a process, also against a later one with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id, which is also the id of its process group.
    pub pid: i32,
    /// When it was started, in clock ticks after boot (`/proc/PID/stat`, field 22).
    pub started_ticks: u64,
}

/// What should happen next in a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Start an instance of this launch in this zone.
    Start(Launch, String),
    /// Drain and stop this instance.
    Stop(InstanceId),
    /// Do nothing before this time.
    WaitUntil(UnixMs),
    /// Do nothing.
    Rest,
}

impl Slot {
    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: &InstanceId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// What should happen next, at the time `now`. A single ill instance among healthy ones is ended
    /// at once and replaced. Where several are ill, or the last one is, its replacement must be
    /// healthy before it is ended: until then it is better than none.
    #[must_use]
    pub fn next(&self, zones: &[String], now: UnixMs) -> Next {
        let desired = self.sizes.desired as usize;
        let many = |state| {
            self.present()
                .filter(|member| member.state == state)
                .count()
        };
        let healthy = many(InstanceState::Healthy);
        let ill = many(InstanceState::Unhealthy);
        let pending = many(InstanceState::Pending);
        let present = healthy + ill + pending;
        let in_turn = desired > 0 && (ill > 1 || (ill == 1 && healthy == 0));
        let ahead = usize::from(in_turn && self.launches.is_some());
        let surplus = (present - pending.min(ahead)) > desired;
        let replaceable = ill == 1 && healthy > 0 && pending == 0;
        if surplus || replaceable {
            let victim = self.victim().map(|member| member.id.clone());
            return victim.map_or(Next::Rest, Next::Stop);
        }
        match &self.launches {
            Some(_) if present < desired + ahead && self.start_after > now => {
                Next::WaitUntil(self.start_after)
            }
            Some(launch) if present < desired + ahead => {
                Next::Start(launch.clone(), self.emptiest_zone(zones))
            }
            _ => Next::Rest,
        }
    }

    /// Notes that an instance died early or never became healthy: the next one starts later each
    /// time.
    pub fn died_early(&mut self, launch: &LaunchId, now: UnixMs) {
        if self.launches.as_ref().map(|l| &l.id) != Some(launch) {
            return;
        }
        let doublings = self.early_deaths.min(10);
        let wait = (BACKOFF_MS << doublings).min(BACKOFF_MS_MAX);
        self.early_deaths = self.early_deaths.saturating_add(1);
        self.start_after = now.plus_ms(wait);
    }

    /// Notes that an instance became healthy, or that another release is started: the next start
    /// need not wait.
    pub fn all_is_well(&mut self) {
        (self.early_deaths, self.start_after) = (0, UnixMs(0));
        self.calm();
    }

    /// Notes that an instance leaves because somebody asked for it, or another one is there for it.
    pub fn leaves(&mut self) {
        if self
            .present()
            .any(|member| member.state == InstanceState::Healthy)
        {
            self.calm();
        }
    }

    /// Forgets what went wrong once nobody is ill any more.
    fn calm(&mut self) {
        if self
            .present()
            .all(|member| member.state != InstanceState::Unhealthy)
        {
            self.trouble = None;
        }
    }

    /// The instances that get requests: the healthy ones. While there is none, those that are ill and
    /// still answered their last check; else all that are ill. A wrong answer may be as good as none,
    /// and a check may be wrong.
    pub fn serving(&self) -> impl Iterator<Item = &Member> {
        let rank = |member: &Member| match (member.state, member.answers) {
            (InstanceState::Healthy, _) => Some(0),
            (InstanceState::Unhealthy, true) => Some(1),
            (InstanceState::Unhealthy, false) => Some(2),
            _ => None,
        };
        let best = self.members.iter().filter_map(rank).min();
        let is_best = move |member: &&Member| best.is_some() && rank(member) == best;
        self.members.iter().filter(is_best)
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.state.is_present())
    }

    /// The instance to stop: first those that are ill, then those that are not healthy yet, then
    /// those in the fullest zone, then the oldest. Protection spares all but the ill.
    fn victim(&self) -> Option<&Member> {
        let counts = self.zone_counts();
        self.present()
            .filter(|member| !member.protected || member.state == InstanceState::Unhealthy)
            .min_by_key(|member| {
                let in_zone = counts.get(member.zone.as_str()).copied().unwrap_or(0);
                let ill = member.state == InstanceState::Unhealthy;
                let healthy = member.state == InstanceState::Healthy;
                (
                    !ill,
                    healthy,
                    std::cmp::Reverse(in_zone),
                    member.started_at,
                    member.id.clone(),
                )
            })
    }

    fn emptiest_zone(&self, zones: &[String]) -> String {
        let counts = self.zone_counts();
        let least = zones
            .iter()
            .min_by_key(|zone| counts.get(zone.as_str()).copied().unwrap_or(0));
        least.cloned().unwrap_or_else(|| "a".to_owned())
    }

    fn zone_counts(&self) -> BTreeMap<&str, u32> {
        self.present().fold(BTreeMap::new(), |mut counts, member| {
            *counts.entry(member.zone.as_str()).or_default() += 1;
            counts
        })
    }

    /// The observation of the slice.
    pub(super) fn look(&self) -> SliceSeen {
        let instances = self.members.iter().map(|member| Instance {
            id: member.id.clone(),
            launch: member.launch.clone(),
            version: member.version.clone(),
            zone: member.zone.clone(),
            state: member.state,
            protected: member.protected,
            started_at: member.started_at,
        });
        SliceSeen {
            sizes: self.sizes,
            launches: self.launches.clone(),
            rebalancing_suspended: self.rebalancing_suspended,
            trouble: self.trouble.clone(),
            instances: instances.collect(),
            ..SliceSeen::default()
        }
    }
}

#[cfg(test)]
mod tests;
