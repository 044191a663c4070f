//! What a person sees before the click: what goes, how many run when, how long it takes, and how
//! long the way back takes at each step.
//!
//! Invariant: computed from the same plan that the engine follows, never from a second description
//! of it.

mod aws;
mod gates;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use aws::AwsPreview;
pub use gates::GateForecast;

use self::gates::Present;

use crate::{
    catalogue::ServerGroup,
    deployment::Deployment,
    observation::{InstanceId, Observation, SliceSeen},
    plan::{Refresh, Retire, Step},
    slice::Slice,
    time::UnixMs,
    versions::Versions,
};

/// What is known about how long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimates {
    /// From the request for an instance to its first passed health check.
    pub boot_ms: u64,
    /// From the request to stop an instance until it is gone.
    pub stop_ms: u64,
    /// When the traffic was counted that is the present one; 0: it is not known.
    pub now: UnixMs,
}

impl Estimates {
    /// The estimates for a group of which nothing has been measured yet: the health checks take
    /// what the settings say, booting takes two seconds, and stopping half of the drain time.
    #[must_use]
    pub fn from_settings(group: &ServerGroup) -> Self {
        let checks = u64::from(group.health.interval_ms)
            * u64::from(group.health.healthy_threshold.saturating_sub(1));
        Self {
            boot_ms: 2000 + checks,
            stop_ms: u64::from(group.drain_seconds) * 500,
            now: UnixMs::default(),
        }
    }
}

/// What a deployment is expected to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// The steps, with what each one costs.
    pub steps: Vec<PreviewStep>,
    /// The instances that go, by id: all that are there now and are not of the new launch.
    pub retires: Vec<InstanceId>,
    /// How many instances run from when on.
    pub capacity: Vec<CapacityPoint>,
    /// Most instances at once.
    pub peak_instances: u32,
    /// Instance-milliseconds above what runs now or shall run, whichever is more.
    pub extra_instance_ms: u64,
    /// Requests to the provider that change something.
    pub calls: u32,
    /// The whole deployment, in milliseconds.
    pub expected_ms: u64,
    /// Index of the first step after which the way back has to start instances again.
    pub point_of_no_return: Option<usize>,
    /// Where it takes place on AWS; `None` on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsPreview>,
}

/// One step, with what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewStep {
    /// The condition.
    pub step: Step,
    /// The condition as a sentence.
    pub sentence: String,
    /// How long its gates need that compare users' traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forecasts: Vec<GateForecast>,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: u64,
    /// How long it takes to give users stable back, in full, from the end of this step, in
    /// milliseconds.
    pub way_back_ms: u64,
}

/// A point of the capacity curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityPoint {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Instances from then on.
    pub instances: u32,
}

/// What `deployment` is expected to do to the group that `seen` shows.
#[must_use]
pub fn preview(deployment: &Deployment, seen: &Observation, estimates: Estimates) -> Preview {
    let start = seen.slices.values().map(|slice| slice.sizes.desired).sum();
    let mut walk = Walk::new(seen, deployment, estimates);
    let steps: Vec<PreviewStep> = deployment
        .plan
        .steps
        .iter()
        .map(|step| walk.take(step))
        .collect();
    let end = walk.instances();
    let retired: Vec<&SliceSeen> = deployment
        .plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Retire(Retire { slice, .. }) | Step::Refresh(Refresh { slice, .. }) => {
                Some(*slice)
            }
            _ => None,
        })
        .collect::<BTreeSet<Slice>>()
        .into_iter()
        .map(|slice| seen.slice(slice))
        .collect();
    let retires = retired
        .iter()
        .flat_map(|slice| slice.present_others(&deployment.launch.id))
        .map(|instance| instance.id.clone())
        .collect();
    let instances = walk.curve.iter().map(|point| point.instances);
    let peak = instances.max().unwrap_or(start);
    Preview {
        steps,
        retires,
        peak_instances: peak,
        extra_instance_ms: extra(&walk.curve, walk.at_ms, start.max(end)),
        capacity: walk.curve,
        calls: calls(&deployment.plan.steps),
        expected_ms: walk.at_ms,
        point_of_no_return: walk.first_retire,
        aws: aws::of(deployment, seen, peak),
    }
}

/// Walks through a plan, adding up time and capacity.
struct Walk {
    versions: Versions,
    estimates: Estimates,
    has_stable: bool,
    /// What users do at present, where that is known.
    present: Option<Present>,
    /// The slice of the new release, and its share of the users.
    next: (Slice, u8),
    /// Where stable is, when it has a slice of its own.
    apart: Option<Slice>,
    at_ms: u64,
    slices: BTreeMap<Slice, u32>,
    step: usize,
    first_retire: Option<usize>,
    curve: Vec<CapacityPoint>,
}

impl Walk {
    fn new(seen: &Observation, deployment: &Deployment, estimates: Estimates) -> Self {
        let roles = deployment.roles;
        let slices: BTreeMap<Slice, u32> = seen
            .slices
            .iter()
            .map(|(slice, there)| (*slice, there.sizes.desired))
            .collect();
        let start = CapacityPoint {
            at_ms: 0,
            instances: slices.values().sum(),
        };
        Self {
            versions: deployment.versions().and_seen(seen),
            estimates,
            has_stable: deployment.stable.is_some(),
            present: Present::of(deployment, seen, estimates.now),
            next: (roles.next, 0),
            apart: roles.are_apart().then_some(roles.live),
            at_ms: 0,
            slices,
            step: 0,
            first_retire: None,
            curve: vec![start],
        }
    }

    fn instances(&self) -> u32 {
        self.slices.values().sum()
    }

    fn take(&mut self, step: &Step) -> PreviewStep {
        let forecasts = self.forecasts(step);
        let expected_ms = match step {
            Step::Fill(fill) => {
                self.reach(fill.slice, fill.count + fill.beside, 0);
                self.estimates.boot_ms
            }
            Step::Bake(bake) => u64::from(bake.until.seconds) * 1000,
            Step::Refresh(refresh) => self.refresh(refresh),
            Step::Shift(split) => {
                self.next.1 = split.weights.share(self.next.0);
                0
            }
            Step::EndRefresh(_) => 0,
            Step::Retire(retire) => {
                if self.apart.is_none_or(|live| live == retire.slice) {
                    self.first_retire = self.first_retire.or(Some(self.step));
                }
                self.reach(retire.slice, retire.leaving, self.estimates.stop_ms);
                self.estimates.stop_ms
            }
        };
        self.at_ms += expected_ms;
        self.step += 1;
        PreviewStep {
            step: step.clone(),
            sentence: step.sentence(&self.versions),
            forecasts,
            expected_ms,
            way_back_ms: self.way_back_ms(),
        }
    }

    fn forecasts(&self, step: &Step) -> Vec<GateForecast> {
        match (step, self.present) {
            (Step::Bake(bake), Some(present)) => present.forecasts(bake, self.next.1),
            _ => Vec::new(),
        }
    }

    /// AWS goes wave by wave: a surge of new ones boots, is watched, and as many old ones stop.
    fn refresh(&mut self, refresh: &Refresh) -> u64 {
        let Refresh {
            slice,
            count,
            preferences,
            ..
        } = refresh;
        self.first_retire = self.first_retire.or(Some(self.step));
        let waves = u64::from(preferences.waves(*count));
        let wave_ms = self.estimates.boot_ms + self.estimates.stop_ms;
        let expected_ms = waves * wave_ms + preferences.watching_ms(*count);
        self.reach(*slice, count + preferences.surge(*count), 0);
        self.reach(*slice, *count, expected_ms);
        expected_ms
    }

    fn reach(&mut self, slice: Slice, instances: u32, after_ms: u64) {
        self.slices.insert(slice, instances);
        self.curve.push(CapacityPoint {
            at_ms: self.at_ms + after_ms,
            instances: self.instances(),
        });
    }

    /// As long as nothing of stable went, users are back with one change of weights where stable has
    /// a slice of its own, and once the new instances are stopped where it has not; later stable ones
    /// have to be started first. Without a stable, everything is just stopped.
    fn way_back_ms(&self) -> u64 {
        let gone = self.has_stable && self.first_retire.is_some();
        let boot = if gone { self.estimates.boot_ms } else { 0 };
        match self.apart {
            Some(_) => boot,
            None => boot + self.estimates.stop_ms,
        }
    }
}

/// The area of the curve above `base`.
fn extra(curve: &[CapacityPoint], end_ms: u64, base: u32) -> u64 {
    let ends = curve
        .iter()
        .skip(1)
        .map(|point| point.at_ms)
        .chain([end_ms]);
    curve
        .iter()
        .zip(ends)
        .map(|(point, end)| {
            u64::from(point.instances.saturating_sub(base)) * end.saturating_sub(point.at_ms)
        })
        .sum()
}

/// Changing requests: launch, rebalancing off and on, protection on and off, final sizes, and the
/// sizes of each wave. An instance refresh needs a launch and a start; the rest is AWS's own.
fn calls(steps: &[Step]) -> u32 {
    let per_step: u32 = steps
        .iter()
        .map(|step| match step {
            Step::Fill(_) | Step::Shift(_) => 1,
            Step::Refresh(_) | Step::Retire(_) => 2,
            Step::Bake(_) | Step::EndRefresh(_) => 0,
        })
        .sum();
    let retires = steps.iter().any(|step| matches!(step, Step::Retire(_)));
    let fills = steps.iter().any(|step| matches!(step, Step::Fill(_)));
    let around = match (retires, fills) {
        (true, _) => 5,
        (false, true) => 3,
        (false, false) => 0,
    };
    per_step + around
}
