//! One slice in virtual time: an instance group that follows the documented rules of AWS Auto Scaling
//! ("Control which Auto Scaling instances terminate during scale in", "Instance scale-in
//! protection", "Suspend and resume processes", read 2026-11).
//!
//! What the documents leave open (ties between zones and between instances) is decided by the seed.
//!
//! Invariant: the model never looks at who wants what; it knows launches and times, not plans.

mod instances;
mod refresh;

use std::collections::BTreeMap;

use domain::{
    effect::Effect,
    observation::{Instance, InstanceState, Sizes, SliceSeen},
    release::{Launch, LaunchId},
    time::UnixMs,
};
use fastrand::Rng;

/// How the group picks among the instances of the zone it shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminationPolicy {
    /// The oldest instance.
    OldestInstance,
    /// The newest instance.
    NewestInstance,
    /// Instances of the launch with the lowest number first: what `Default` comes to for launch
    /// templates, after a roll-back to an older version the wrong ones.
    OldestLaunch,
    /// Any.
    Random,
}

/// How a launch behaves once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Becomes healthy and stays so.
    Good,
    /// Never becomes healthy.
    Broken,
    /// Becomes healthy and fails so many milliseconds later.
    Fades(u64),
    /// Becomes healthy and stays so, and answers so many in a thousand requests with an error.
    Errs(u64),
}

/// Times that things take, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Lags {
    /// From the start of an instance until it is healthy, at least.
    pub boot: u64,
    /// On top of `boot`, at most, drawn for each instance.
    pub boot_spread: u64,
    /// From a changed size until the group acts.
    pub react: u64,
    /// In each of draining and terminating.
    pub stop: u64,
    /// From ill health until the group replaces the instance.
    pub replace: u64,
    /// Until routers serve new weights.
    pub weights: u64,
}

/// One instance group.
#[derive(Debug)]
pub struct Asg {
    /// What is there now.
    pub group: Group,
    /// How launches behave. One that is not named is good.
    pub behaviours: BTreeMap<LaunchId, Behaviour>,
    /// What was healthy and got lost or ill by a fault, and when: excuses missing capacity.
    pub losses: Vec<UnixMs>,
    /// Healthy instances that were stopped because somebody asked for it, since the checker looked.
    pub shed: u32,
    lags: Lags,
    policy: TerminationPolicy,
    zones: Vec<String>,
    rng: Rng,
    /// Keeps ids of different slices apart.
    prefix: &'static str,
    next_id: u64,
    react_at: Option<UnixMs>,
    /// The group came to fewer by itself, and nobody asked for fewer since.
    scaled_itself: bool,
    refresh: Option<refresh::Refresh>,
    refreshes: u32,
    /// So many more than desired run while a refresh replaces instances.
    surplus: u32,
}

/// The state that people can see.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Capacity settings.
    pub sizes: Sizes,
    /// What new instances start from.
    pub launches: Option<Launch>,
    /// Rebalancing is off.
    pub rebalancing_suspended: bool,
    /// What runs.
    pub members: Vec<Member>,
}

/// One instance of the model.
#[derive(Debug, Clone)]
pub struct Member {
    /// As others see it.
    pub instance: Instance,
    /// When its state changes by itself.
    due: Option<UnixMs>,
    /// When it falls ill by itself.
    fades_at: Option<UnixMs>,
    /// Since when it is healthy.
    healthy_since: Option<UnixMs>,
}

impl Member {
    /// It is healthy, and was so already `ms` ago.
    fn was_healthy(&self, now: UnixMs, ms: u64) -> bool {
        self.instance.state == InstanceState::Healthy
            && self
                .healthy_since
                .is_none_or(|since| now.since_ms(since) > ms)
    }
}

/// An engine that asks for the replacement of one instance may believe for so long that it is not
/// healthy, in milliseconds.
const BELIEF_AGE_MS: u64 = 25_000;
/// A request for fewer instances arrives so long after the look that it rests on, in milliseconds: the
/// oldest look, and the longest delay.
const LOOK_AGE_MS: u64 = 7000;

impl Asg {
    /// An empty group.
    #[must_use]
    pub fn new(
        prefix: &'static str,
        zones: u32,
        lags: Lags,
        policy: TerminationPolicy,
        rng: Rng,
    ) -> Self {
        Self {
            group: Group::default(),
            behaviours: BTreeMap::new(),
            losses: Vec::new(),
            shed: 0,
            lags,
            policy,
            zones: (0..zones.max(1)).map(|n| format!("zone-{n}")).collect(),
            rng,
            prefix,
            next_id: 0,
            react_at: None,
            scaled_itself: false,
            refresh: None,
            refreshes: 0,
            surplus: 0,
        }
    }

    /// What an honest look shows.
    #[must_use]
    pub fn look(&self) -> SliceSeen {
        let group = &self.group;
        SliceSeen {
            sizes: group.sizes,
            launches: group.launches.clone(),
            rebalancing_suspended: group.rebalancing_suspended,
            refresh: self.refresh.as_ref().map(refresh::Refresh::seen),
            instances: group.members.iter().map(|m| m.instance.clone()).collect(),
            ..SliceSeen::default()
        }
    }

    /// Accepts a request. What follows from it happens later, in [`Asg::tick`].
    ///
    /// # Errors
    /// When AWS would answer with a validation error.
    pub fn apply(&mut self, effect: &Effect, now: UnixMs) -> Result<(), String> {
        match effect {
            Effect::SetLaunch { launch, .. } => {
                if self.active_refresh().is_some() {
                    return Err(
                        "the launch cannot be changed during an instance refresh".to_owned()
                    );
                }
                self.group.launches.clone_from(launch);
            }
            Effect::SetSizes { sizes, .. } => {
                if sizes.min > sizes.desired || sizes.desired > sizes.max {
                    return Err(format!("min <= desired <= max does not hold: {sizes:?}"));
                }
                self.resize(*sizes, now);
            }
            Effect::SetBounds { min, max, .. } => {
                if min > max {
                    return Err(format!("min <= max does not hold: {min}, {max}"));
                }
                self.resize(self.group.sizes.within(*min, *max), now);
            }
            Effect::SetProtection {
                instances,
                protected,
                ..
            } => {
                for member in &mut self.group.members {
                    if instances.contains(&member.instance.id) {
                        member.instance.protected = *protected;
                    }
                }
            }
            Effect::SetRebalancing { suspended, .. } => {
                self.group.rebalancing_suspended = *suspended;
            }
            Effect::Replace { instance, .. } => {
                let index = self
                    .group
                    .members
                    .iter()
                    .position(|m| m.instance.id == *instance && m.instance.state.is_present());
                if let Some(index) = index {
                    if self.group.members[index].was_healthy(now, BELIEF_AGE_MS) {
                        self.shed += 1;
                    }
                    self.stop(index, now);
                }
            }
            Effect::StartRefresh {
                launch,
                preferences,
                ..
            } => return self.start_refresh(launch, preferences, now),
            Effect::RollBackRefresh { .. } => self.roll_refresh_back(now, ""),
            Effect::CancelRefresh { .. } => self.cancel_refresh(),
            Effect::SetTraffic { .. } => {}
        }
        Ok(())
    }

    /// Somebody asks for `sizes`. To ask for as many as the group came to by itself, or for more, is not
    /// to ask for fewer.
    fn resize(&mut self, sizes: Sizes, now: UnixMs) {
        self.scaled_itself &= sizes.desired >= self.group.sizes.desired;
        self.group.sizes = sizes;
        self.react_at = self.react_at.or(Some(now.plus_ms(self.lags.react)));
    }

    /// Starts a healthy instance at once: what was there before the story begins.
    pub fn found(&mut self, launch: &Launch, zone: usize, protected: bool) {
        self.start(launch.clone(), zone, UnixMs(0));
        if let Some(member) = self.group.members.last_mut() {
            member.instance.state = InstanceState::Healthy;
            member.instance.protected = protected;
            (member.due, member.fades_at) = (None, None);
        }
    }

    /// Lets time pass until `now`.
    pub fn tick(&mut self, now: UnixMs) {
        self.age(now);
        self.tick_refresh(now);
        let differs = self.present() != self.wanted();
        if differs && self.react_at.is_none() {
            self.react_at = Some(now.plus_ms(self.lags.react));
        }
        if self.react_at.is_some_and(|at| at <= now) {
            self.react_at = None;
            self.scale(now);
        }
        if !self.group.rebalancing_suspended && !differs && self.active_refresh().is_none() {
            self.rebalance(now);
        }
    }

    /// A spot loss: the instance is gone, now.
    pub fn lose(&mut self, index: usize, now: UnixMs) {
        if self.group.members[index].instance.state == InstanceState::Healthy {
            self.losses.push(now);
        }
        self.group.members.remove(index);
    }

    /// The instance fails its health checks; the group replaces it after a while.
    pub fn sicken(&mut self, index: usize, now: UnixMs) {
        let member = &mut self.group.members[index];
        if member.instance.state == InstanceState::Healthy {
            self.losses.push(now);
            member.instance.state = InstanceState::Unhealthy;
            member.due = Some(now.plus_ms(self.lags.replace));
        }
    }

    /// The instance leaves by itself: it finishes its last requests and stops.
    pub fn leave(&mut self, index: usize, now: UnixMs) {
        let state = self.group.members[index].instance.state;
        if state == InstanceState::Healthy {
            self.losses.push(now);
        }
        if state.is_present() {
            self.stop(index, now);
        }
    }

    /// An instance was lost by a fault in the last `ms` milliseconds before `now`.
    #[must_use]
    pub fn lost_since(&self, now: UnixMs, ms: u64) -> bool {
        self.losses.iter().any(|at| now.since_ms(*at) <= ms)
    }

    /// The group's own autoscaling moves Desired, within Min and Max.
    pub fn autoscale(&mut self, by: i64) {
        let sizes = &mut self.group.sizes;
        let wanted = i64::from(sizes.desired) + by;
        let wanted = wanted.clamp(i64::from(sizes.min), i64::from(sizes.max));
        let wanted = u32::try_from(wanted).unwrap_or(sizes.desired);
        self.scaled_itself |= wanted < sizes.desired;
        sizes.desired = wanted;
    }

    /// How many count towards the size.
    #[must_use]
    pub fn present(&self) -> usize {
        self.group
            .members
            .iter()
            .filter(|m| m.instance.state.is_present())
            .count()
    }

    /// How many the group keeps.
    fn wanted(&self) -> usize {
        (self.group.sizes.desired + self.surplus) as usize
    }

    /// How many are healthy.
    #[must_use]
    pub fn healthy(&self) -> u32 {
        domain::observation::count(
            self.group
                .members
                .iter()
                .filter(|m| m.instance.state == InstanceState::Healthy),
        )
    }
}

#[cfg(test)]
mod tests {
    use domain::slice::Slice;

    use super::*;

    /// Three healthy instances, of which the group keeps one by its own scaling.
    fn scaled_itself() -> Asg {
        let lags = crate::testing::fleet::QUICK;
        let policy = TerminationPolicy::OldestInstance;
        let mut asg = Asg::new("b", 1, lags, policy, Rng::with_seed(1));
        let stable = crate::testing::sim::story::launch("lt-1", "1.0.0");
        asg.group.launches = Some(stable.clone());
        asg.group.sizes = Sizes {
            min: 1,
            desired: 3,
            max: 5,
        };
        (0..3).for_each(|_| asg.found(&stable, 0, false));
        asg.autoscale(-2);
        asg
    }

    #[test]
    fn asking_for_more_than_a_group_came_to_by_itself_stops_nobody() {
        for (asked, shed) in [(1, 0), (2, 0), (0, 3)] {
            let mut asg = scaled_itself();
            let effect = Effect::SetSizes {
                slice: Slice::Blue,
                sizes: Sizes {
                    min: asked,
                    desired: asked,
                    max: 5,
                },
            };
            asg.apply(&effect, UnixMs(0)).expect("AWS takes it");
            asg.tick(UnixMs(60_000));
            assert_eq!((asg.healthy(), asg.shed), (asked, shed), "{asked} asked");
        }
    }
}
