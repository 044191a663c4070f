//! One slice of a server group as a value: who is in it, who is missing, who goes.
//!
//! Invariant: pure. Nothing here starts or stops a process; [`Slot::next`] only says what should
//! happen, and the supervisor does it.

mod check;

use std::collections::BTreeMap;

use domain::{
    catalogue::ServerGroup,
    effect::{Effect, Token},
    names::{Place, Version},
    observation::{Instance, InstanceId, InstanceState, Observation, Sizes, Slice, SliceSeen},
    release::{Digest, Launch, LaunchId},
    time::UnixMs,
    traffic::Mirror,
    users::Weights,
};
use serde::{Deserialize, Serialize};

/// Most instances in one slice; a typo in a size must not start ten thousand processes.
pub const SLICE_SIZE_MAX: u32 = 500;
/// The first wait after an instance died early, in milliseconds; doubled each time.
const BACKOFF_MS: u64 = 200;
/// The longest wait, in milliseconds.
const BACKOFF_MS_MAX: u64 = 30_000;

/// A server group: what was asked for, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Which service, where.
    pub place: Place,
    /// The settings that came with the last request.
    pub settings: ServerGroup,
    /// The newest token that was accepted.
    pub fence: Option<Token>,
    /// How users are split.
    pub weights: Weights,
    /// The dark traffic, if there shall be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// The slices that were ever used.
    pub slices: BTreeMap<Slice, Slot>,
}

/// One slice of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// Capacity settings.
    pub sizes: Sizes,
    /// What new instances start from.
    pub launches: Option<Launch>,
    /// Kept for whoever asks; one machine has nothing to rebalance.
    pub rebalancing_suspended: bool,
    /// Every instance that is not gone.
    pub members: Vec<Member>,
    /// Instances that died early, one after the other, without a healthy one in between.
    pub early_deaths: u32,
    /// Nothing is started before this.
    pub start_after: UnixMs,
    /// What the last instance did wrong, without a healthy one since.
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
    /// Where it is in its life.
    pub state: InstanceState,
    /// Protected from scale-in.
    pub protected: bool,
    /// When it was started.
    pub started_at: UnixMs,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// The process, once it runs.
    pub process: Option<ProcessId>,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number; also the number of its process group.
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
    /// Nothing before this time.
    WaitUntil(UnixMs),
    /// Nothing.
    Rest,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A newer token was accepted.
    #[error("a newer request was accepted already ({newest}); this one ({token}) is too late")]
    Superseded {
        /// The token that was accepted.
        newest: Token,
        /// The token that came now.
        token: Token,
    },
    /// It makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl Group {
    /// A group of which nothing runs.
    #[must_use]
    pub fn new(place: Place, settings: ServerGroup) -> Self {
        let (weights, slices) = (Weights::default(), BTreeMap::new());
        Self {
            place,
            settings,
            fence: None,
            weights,
            mirror: None,
            slices,
        }
    }

    /// Accepts a request. What follows from it, [`Slot::next`] says. Returns the instance that is to
    /// be stopped at once, if the request names one.
    ///
    /// # Errors
    /// When the token is older than one accepted before, or the numbers make no sense. Nothing is
    /// changed then.
    pub fn apply(
        &mut self,
        settings: &ServerGroup,
        effect: &Effect,
        token: &Token,
    ) -> Result<Option<InstanceId>, Refusal> {
        if let Some(newest) = self.fence.as_ref().filter(|newest| token < newest) {
            return Err(Refusal::Superseded {
                newest: newest.clone(),
                token: token.clone(),
            });
        }
        check::check(effect)?;
        self.fence = Some(token.clone());
        self.settings = settings.clone();
        match effect {
            Effect::SetLaunch { slice, launch } => {
                let slot = self.slices.entry(*slice).or_default();
                if slot.launches != *launch {
                    slot.launches.clone_from(launch);
                    slot.all_is_well();
                }
            }
            Effect::SetSizes { slice, sizes } => {
                self.slices.entry(*slice).or_default().sizes = *sizes;
            }
            Effect::SetMin { slice, min } => {
                let sizes = &mut self.slices.entry(*slice).or_default().sizes;
                sizes.min = (*min).min(sizes.max);
                sizes.desired = sizes.desired.max(sizes.min);
            }
            Effect::SetProtection {
                slice,
                instances,
                protected,
            } => {
                let slot = self.slices.entry(*slice).or_default();
                for member in slot
                    .members
                    .iter_mut()
                    .filter(|m| instances.contains(&m.id))
                {
                    member.protected = *protected;
                }
            }
            Effect::SetRebalancing { slice, suspended } => {
                self.slices.entry(*slice).or_default().rebalancing_suspended = *suspended;
            }
            Effect::Replace { slice, instance } => {
                let slot = self.slices.entry(*slice).or_default();
                let there = slot.member(instance).is_some_and(|m| m.state.is_present());
                return Ok(there.then(|| instance.clone()));
            }
            // The check refuses to start one, so there is none.
            Effect::StartRefresh { .. }
            | Effect::RollBackRefresh { .. }
            | Effect::CancelRefresh { .. } => {}
            Effect::SetTraffic { weights, mirror } => {
                self.weights.clone_from(weights);
                self.mirror.clone_from(mirror);
            }
        }
        Ok(None)
    }

    /// What others see of it.
    #[must_use]
    pub fn look(&self, now: UnixMs) -> Observation {
        let slices = self
            .slices
            .iter()
            .map(|(slice, slot)| (*slice, slot.look()))
            .collect();
        Observation {
            at: now,
            stale_ms_max: 0,
            weights_stale_ms_max: 0,
            slices,
            weights: self.weights.clone(),
            ..Observation::default()
        }
    }
}

impl Slot {
    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: &InstanceId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// What should happen next.
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

    /// An instance died or never became healthy: the next one starts later and later.
    pub fn died_early(&mut self, launch: &LaunchId, now: UnixMs) {
        if self.launches.as_ref().map(|l| &l.id) != Some(launch) {
            return;
        }
        let doublings = self.early_deaths.min(10);
        let wait = (BACKOFF_MS << doublings).min(BACKOFF_MS_MAX);
        self.early_deaths = self.early_deaths.saturating_add(1);
        self.start_after = now.plus_ms(wait);
    }

    /// An instance became healthy, or another release is started: nothing speaks against the next start.
    pub fn all_is_well(&mut self) {
        (self.early_deaths, self.start_after) = (0, UnixMs(0));
        self.trouble = None;
    }

    fn present(&self) -> impl Iterator<Item = &Member> {
        self.members
            .iter()
            .filter(|member| member.state.is_present())
    }

    /// Who goes on scale-in: not the protected; those not healthy first, then from the fullest
    /// zone, then the oldest.
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

    fn look(&self) -> SliceSeen {
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

    #[test]
    fn old_tokens_and_senseless_sizes_change_nothing() {
        let settings: ServerGroup =
            serde_json::from_str(r#"{"service":"cart","environment":"live","size":2}"#).unwrap();
        let mut group = Group::new(settings.place(), settings.clone());
        let token = |version| Token {
            deployment: domain::names::DeploymentId("d".into()),
            version,
        };
        let sizes = |min, desired, max| Effect::SetSizes {
            slice: Slice::Blue,
            sizes: Sizes { min, desired, max },
        };
        assert_eq!(group.apply(&settings, &sizes(2, 2, 2), &token(5)), Ok(None));
        let before = group.clone();
        assert!(matches!(
            group.apply(&settings, &sizes(9, 9, 9), &token(4)),
            Err(Refusal::Superseded { .. })
        ));
        assert!(matches!(
            group.apply(&settings, &sizes(3, 2, 2), &token(6)),
            Err(Refusal::Invalid(_))
        ));
        assert!(matches!(
            group.apply(&settings, &sizes(0, 501, 501), &token(6)),
            Err(Refusal::Invalid(_))
        ));
        assert_eq!(group, before);
    }
}
