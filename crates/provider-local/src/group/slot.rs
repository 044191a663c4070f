//! One slice of a server group as a value: its instances, and which one starts or stops next.

use std::collections::BTreeMap;

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

    /// What should happen next, at the time `now`.
    #[must_use]
    pub fn next(&self, zones: &[String], now: UnixMs) -> Next {
        let desired = self.sizes.desired as usize;
        let present = self.present().count();
        if let Some(ill) = self.present().find(|m| m.state == InstanceState::Unhealthy) {
            return Next::Stop(ill.id.clone());
        }
        if present > desired {
            return self
                .victim()
                .map_or(Next::Rest, |member| Next::Stop(member.id.clone()));
        }
        match &self.launches {
            Some(_) if present < desired && self.start_after > now => {
                Next::WaitUntil(self.start_after)
            }
            Some(launch) if present < desired => {
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
        self.trouble = None;
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.state.is_present())
    }

    /// The instance to stop on scale-in: never a protected one; first those that are not healthy,
    /// then those in the fullest zone, then the oldest.
    fn victim(&self) -> Option<&Member> {
        let counts = self.zone_counts();
        self.present()
            .filter(|member| !member.protected)
            .min_by_key(|member| {
                let in_zone = counts.get(member.zone.as_str()).copied().unwrap_or(0);
                let healthy = member.state == InstanceState::Healthy;
                (
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
mod tests {
    use super::*;

    fn member(id: &str, zone: &str, state: InstanceState, protected: bool) -> Member {
        Member {
            id: InstanceId(id.to_owned()),
            launch: LaunchId("l1".to_owned()),
            version: "1".parse().unwrap(),
            digest: Digest::from_bytes([0; 32]),
            zone: zone.to_owned(),
            state,
            protected,
            started_at: UnixMs(0),
            port: 1,
            process: None,
        }
    }

    fn slot(desired: u32, members: Vec<Member>) -> Slot {
        let launches = Some(Launch {
            id: LaunchId("l1".to_owned()),
            version: "1".parse().unwrap(),
            content: domain::release::Content::package(Digest::from_bytes([0; 32])),
        });
        let sizes = Sizes {
            min: desired,
            desired,
            max: desired,
        };
        Slot {
            sizes,
            launches,
            members,
            ..Slot::default()
        }
    }

    fn zones() -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    fn stops(slot: &Slot) -> Option<String> {
        match slot.next(&zones(), UnixMs(0)) {
            Next::Stop(id) => Some(id.0),
            _ => None,
        }
    }

    #[test]
    fn starts_where_there_are_fewest() {
        let slot = slot(2, vec![member("i1", "a", InstanceState::Healthy, false)]);
        assert!(matches!(slot.next(&zones(), UnixMs(0)), Next::Start(_, zone) if zone == "b"));
    }

    #[test]
    fn scale_in_spares_the_protected_and_evens_zones() {
        use InstanceState::{Healthy, Pending};
        let of = |members| stops(&slot(1, members));
        assert_eq!(
            of(vec![
                member("i1", "a", Healthy, true),
                member("i2", "b", Healthy, false)
            ]),
            Some("i2".into())
        );
        assert_eq!(
            of(vec![
                member("i1", "a", Healthy, true),
                member("i2", "a", Healthy, true)
            ]),
            None
        );
        assert_eq!(
            of(vec![
                member("i1", "a", Healthy, false),
                member("i2", "b", Pending, false)
            ]),
            Some("i2".into())
        );
        let three = vec![
            member("i1", "a", Healthy, false),
            member("i2", "b", Healthy, false),
            member("i3", "b", Healthy, false),
        ];
        assert_eq!(of(three), Some("i2".into()));
    }

    #[test]
    fn the_unhealthy_are_replaced_even_when_protected() {
        let ill = member("i1", "a", InstanceState::Unhealthy, true);
        assert_eq!(stops(&slot(1, vec![ill])), Some("i1".into()));
        let drains = member("i1", "a", InstanceState::Draining, false);
        assert!(matches!(
            slot(1, vec![drains]).next(&zones(), UnixMs(0)),
            Next::Start(..)
        ));
    }

    #[test]
    fn a_launch_that_keeps_dying_is_started_later_and_later() {
        let mut slot = slot(1, Vec::new());
        let waits: Vec<i64> = (0..10)
            .map(|_| {
                slot.died_early(&LaunchId("l1".into()), UnixMs(0));
                slot.start_after.0
            })
            .collect();
        assert_eq!(
            waits,
            [
                200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        assert_eq!(
            slot.next(&zones(), UnixMs(0)),
            Next::WaitUntil(UnixMs(30_000))
        );
        slot.died_early(&LaunchId("other".into()), UnixMs(99_000));
        assert_eq!(
            slot.start_after,
            UnixMs(30_000),
            "another launch is no reason to wait"
        );
    }
}
