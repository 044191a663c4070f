//! What a simulated story is about: the group, the release, the person, and what goes wrong.

use std::collections::VecDeque;

use domain::{
    catalogue::{Bounds, HealthCheck, ServerGroup},
    deployment::{Command, Deployment, Request},
    effect::Target,
    names::{DeploymentId, Place},
    observation::Sizes,
    plan::{Roles, Strategy},
    release::{Content, Digest, Launch, LaunchId},
    slice::Slice,
    time::UnixMs,
};
use fastrand::Rng;

use super::{TICK_MS, ports::DELAY_MS_MAX};
use crate::{
    testing::{
        cloud::{Behaviour, Cloud, Lags, TerminationPolicy},
        faults::Faults,
    },
    turn::DECISION_AGE_MS_MAX,
};

mod people;
mod strategies;

pub use people::InStep;

/// One story.
#[derive(Debug, Clone)]
pub struct Story {
    /// The deployment as it was requested.
    pub deployment: Deployment,
    /// How the new release behaves.
    pub new_release: Behaviour,
    /// Whether stable is healthy when the story begins.
    pub stable_is_good: bool,
    /// The group before the first change.
    pub sizes: Sizes,
    /// Zone of each instance that is there at the beginning.
    pub start_zones: Vec<usize>,
    /// Which of them somebody protected.
    pub protected: Vec<bool>,
    /// Somebody suspended rebalancing already.
    pub rebalancing_suspended: bool,
    /// Number of zones.
    pub zones: u32,
    /// How fast the cloud is.
    pub lags: Lags,
    /// How the cloud picks its victims.
    pub policy: TerminationPolicy,
    /// How old observations may be, in milliseconds.
    pub stale_ms: u64,
    /// The provider remembers tokens.
    pub fenced: bool,
    /// How many engines share the journal.
    pub engines: usize,
    /// What goes wrong.
    pub faults: Faults,
    /// When it stops going wrong, in milliseconds.
    pub faults_end_ms: u64,
    /// What the person does, and when.
    pub commands: VecDeque<(UnixMs, Command)>,
    /// What the person does in one step of the way forward.
    pub in_step: Option<InStep>,
    /// Nothing goes wrong and nobody interferes: the outcome follows from the releases alone.
    pub calm: bool,
    /// Seeds the cloud.
    pub cloud_seed: u64,
    /// Where stable is when the story begins.
    pub live: Slice,
    /// Instances of an older release in the other slice, if there is one.
    pub leftovers: u32,
    /// What a person says who is asked for an approval.
    pub approves: bool,
    /// What checks outside say.
    pub outside_is_good: bool,
}

/// A launch of version `version`; `id` sorts as launch-template versions do.
#[must_use]
pub fn launch(id: &str, version: &str) -> Launch {
    Launch {
        id: LaunchId(id.to_owned()),
        version: version
            .parse()
            .expect("the versions of stories are versions"),
        content: Content::package(Digest::from_bytes([1; 32])),
    }
}

impl Story {
    /// What was lost within so many milliseconds may not have been seen by an engine that acts: looks
    /// are old, decisions age, requests are held up, and the cloud itself takes a moment.
    #[must_use]
    pub fn excuse_ms(&self) -> u64 {
        self.stale_ms + self.lags.react + DECISION_AGE_MS_MAX + DELAY_MS_MAX + 2 * TICK_MS
    }

    /// Draws a story.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let first = rng.u32(0..10) == 0;
        let asked = rng.u32(1..=7);
        let current = match (first, rng.u32(0..5)) {
            (true, _) => 0,
            (false, 0) => rng.u32(1..=7),
            (false, _) => asked,
        };
        let autoscaling = (rng.u32(0..5) == 0).then(|| Bounds {
            min: 1,
            max: asked.max(current) + 3,
        });
        let scales = autoscaling.is_some();
        let mut group = group(rng, asked, current, autoscaling);
        let sizes = start_sizes(rng, current, autoscaling);
        let strategy = strategies::draw(rng, first);
        let needs_two = strategy.needs_two_slices() || rng.u32(0..6) == 0;
        group.slices = if needs_two { 2 } else { 1 };
        let switches = strategy == Strategy::Switch;
        let (live, leftovers) = match group.slices {
            2 if !first => other_slice(rng, switches, asked, current),
            _ => (Slice::Blue, 0),
        };
        let zones = rng.u32(1..=4);
        let calm = rng.u32(0..5) == 0;
        let faults_end_ms = rng.u64(30_000..400_000);
        Self {
            deployment: deployment(rng, group, strategy, current),
            new_release: new_release(rng, switches),
            stable_is_good: rng.u32(0..12) != 0,
            sizes,
            start_zones: start_zones(rng, current, zones as usize),
            protected: (0..current).map(|_| rng.u32(0..8) == 0).collect(),
            rebalancing_suspended: rng.u32(0..6) == 0,
            zones,
            lags: lags(rng),
            policy: policy(rng),
            stale_ms: stale_ms(rng),
            fenced: rng.bool(),
            engines: if rng.bool() { 1 } else { 2 },
            faults: if calm {
                Faults::NONE
            } else {
                Faults::draw(rng, scales)
            },
            faults_end_ms,
            commands: if calm {
                VecDeque::new()
            } else {
                people::commands(rng, faults_end_ms)
            },
            in_step: None,
            calm,
            cloud_seed: rng.u64(..),
            live,
            leftovers,
            approves: rng.u32(0..3) > 0,
            outside_is_good: rng.u32(0..4) > 0,
        }
        .planned()
        .interrupted(rng)
    }

    /// The story with its deployment planned for what is there when it begins.
    fn planned(mut self) -> Self {
        let seen = self.cloud().look(UnixMs(0));
        let it = self.deployment;
        let request = Request {
            id: it.id,
            target: it.target,
            strategy: it.strategy,
            launch: it.launch,
            stable: it.stable,
            requested_by: it.requested_by,
            requested_at: it.requested_at,
        };
        self.deployment = Deployment::new(request, &seen);
        self
    }

    /// Which slice has which role.
    #[must_use]
    pub fn roles(&self) -> Roles {
        self.deployment.roles
    }

    /// The cloud as it is when the story begins.
    #[must_use]
    pub fn cloud(&self) -> Cloud {
        let rng = Rng::with_seed(self.cloud_seed);
        let slices = self.deployment.target.group.slices;
        let mut cloud = Cloud::new(slices, self.zones, self.lags, self.policy, rng);
        cloud.behave(&self.deployment.launch.id, self.new_release);
        let asg = cloud.slice(self.live);
        asg.group.sizes = self.sizes;
        asg.group.rebalancing_suspended = self.rebalancing_suspended;
        let Some(stable) = &self.deployment.stable else {
            return cloud;
        };
        asg.group.launches = Some(stable.clone());
        for (zone, protected) in self.start_zones.iter().zip(&self.protected) {
            asg.found(stable, *zone, *protected);
        }
        cloud.weights.set(self.live, 100);
        if self.leftovers > 0 {
            self.leave(&mut cloud);
        }
        if !self.stable_is_good {
            cloud.behave(&stable.id, Behaviour::Broken);
            let asg = cloud.slice(self.live);
            for index in 0..self.start_zones.len() {
                asg.sicken(index, UnixMs(0));
            }
        }
        for asg in cloud.slices.values_mut() {
            asg.losses.clear();
        }
        cloud
    }

    /// What an earlier deployment left in the other slice: for a switch, what users are switched to.
    fn leave(&self, cloud: &mut Cloud) {
        let switches = self.deployment.strategy == Strategy::Switch;
        let left = if switches {
            self.deployment.launch.clone()
        } else {
            launch("lt-older", "0.1.0")
        };
        let asg = cloud.slice(self.live.other());
        asg.group.sizes = self.leftover_sizes();
        asg.group.launches = Some(left.clone());
        for zone in 0..self.leftovers {
            asg.found(&left, zone as usize, false);
        }
    }

    /// The sizes of the slice that has leftovers.
    #[must_use]
    pub fn leftover_sizes(&self) -> Sizes {
        Sizes {
            min: self.leftovers,
            desired: self.leftovers,
            max: self.leftovers,
        }
    }

    /// The story in a line.
    #[must_use]
    pub fn title(&self) -> String {
        let group = &self.deployment.target.group;
        format!(
            "{} by {}: {} -> {} instances{}, {} zones, {:?}, new release {:?}, stable good: {}, {} engines, stale {} ms, faults until {} s, {} commands{}",
            self.live,
            self.deployment.strategy.kind(),
            self.sizes.desired,
            group.size,
            if group.autoscaling.is_some() {
                " (autoscaling)"
            } else {
                ""
            },
            self.zones,
            self.policy,
            self.new_release,
            self.stable_is_good,
            self.engines,
            self.stale_ms,
            if self.calm {
                0
            } else {
                self.faults_end_ms / 1000
            },
            self.commands.len(),
            self.in_step.as_ref().map_or(String::new(), |it| format!(
                ", {:?} in step {}",
                it.command, it.step
            )),
        )
    }
}

/// The zone of each instance: by chance, or all in one.
fn start_zones(rng: &mut Rng, current: u32, zones: usize) -> Vec<usize> {
    let even = rng.u32(0..4) > 0;
    let only = rng.usize(..zones);
    (0..current)
        .map(|_| if even { rng.usize(..zones) } else { only })
        .collect()
}

/// Where stable is, and how many instances an earlier deployment left in the other slice.
fn other_slice(rng: &mut Rng, switches: bool, asked: u32, current: u32) -> (Slice, u32) {
    let live = if rng.bool() {
        Slice::Green
    } else {
        Slice::Blue
    };
    let leftovers = match rng.u32(0..4) {
        _ if switches => asked.max(current),
        0 => rng.u32(1..=current),
        _ => 0,
    };
    (live, leftovers)
}

fn new_release(rng: &mut Rng, switches: bool) -> Behaviour {
    match rng.u32(0..12) {
        // What users are switched to was healthy already.
        _ if switches => Behaviour::Good,
        0..=5 => Behaviour::Good,
        6 | 7 => Behaviour::Broken,
        8 | 9 => Behaviour::Errs(200),
        _ => Behaviour::Fades(rng.u64(500..20_000)),
    }
}

fn policy(rng: &mut Rng) -> TerminationPolicy {
    match rng.u32(0..4) {
        0 => TerminationPolicy::OldestInstance,
        1 => TerminationPolicy::NewestInstance,
        2 => TerminationPolicy::OldestLaunch,
        _ => TerminationPolicy::Random,
    }
}

fn stale_ms(rng: &mut Rng) -> u64 {
    if rng.u32(0..3) == 0 {
        rng.u64(1..=6) * 500
    } else {
        0
    }
}

fn group(rng: &mut Rng, asked: u32, current: u32, autoscaling: Option<Bounds>) -> ServerGroup {
    let room = rng.u32(1..=7);
    ServerGroup {
        service: "cart".parse().expect("a name"),
        environment: "live".parse().expect("a name"),
        size: asked,
        autoscaling,
        size_limit: (rng.u32(0..5) == 0).then(|| asked.max(current) + room),
        zones: vec!["zone-0".to_owned()],
        slices: 1,
        stickiness: None,
        ignore_paths: Vec::new(),
        gates: Vec::new(),
        health: HealthCheck::default(),
        drain_seconds: 5,
        variables: [].into(),
        limits: Default::default(),
        aws: None,
        custom: None,
    }
}

/// Usually Min = Desired; Max often leaves room, as people set it.
fn start_sizes(rng: &mut Rng, current: u32, autoscaling: Option<Bounds>) -> Sizes {
    match autoscaling {
        Some(bounds) if current > 0 => Sizes {
            min: bounds.min,
            desired: current,
            max: bounds.max,
        },
        _ => Sizes {
            min: if rng.u32(0..4) == 0 {
                current.min(1)
            } else {
                current
            },
            desired: current,
            max: if current > 0 && rng.bool() {
                current * 2
            } else {
                current
            },
        },
    }
}

/// The deployment; it is planned once the rest of the story is known.
fn deployment(rng: &mut Rng, group: ServerGroup, strategy: Strategy, current: u32) -> Deployment {
    let place = Place {
        service: group.service.clone(),
        environment: group.environment.clone(),
    };
    let request = Request {
        id: DeploymentId("d1".to_owned()),
        target: Target::local(place, group),
        strategy,
        // After a roll-back the new launch has the *older* version but the higher number, as a
        // launch template has; sorting the other way round is what fools `OldestLaunch`.
        launch: if rng.bool() {
            launch("lt-2", "2.0.0")
        } else {
            launch("lt-0", "0.9.0")
        },
        stable: (current > 0).then(|| launch("lt-1", "1.0.0")),
        requested_by: "sim".to_owned(),
        requested_at: UnixMs(0),
    };
    Deployment::new(request, &Default::default())
}

fn lags(rng: &mut Rng) -> Lags {
    Lags {
        boot: rng.u64(1000..20_000),
        boot_spread: rng.u64(0..20_000),
        react: rng.u64(0..3000),
        stop: rng.u64(500..8000),
        replace: rng.u64(500..8000),
        weights: rng.u64(0..5000),
    }
}
