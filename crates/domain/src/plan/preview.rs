//! What a person sees before the click: what goes, how many run when, how long it takes, and how
//! long the way back takes at each step.
//!
//! Invariant: computed from the same plan that the engine follows, never from a second description
//! of it.

use serde::{Deserialize, Serialize};

use super::{Step, Strategy, Until};
use crate::{
    catalogue::ServerGroup,
    deployment::Deployment,
    observation::{InstanceId, Observation},
};

/// What is known about how long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimates {
    /// From the request for an instance to its first passed health check.
    pub boot_ms: u64,
    /// From the request to stop an instance until it is gone.
    pub stop_ms: u64,
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
}

/// One step, with what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewStep {
    /// The condition.
    pub text: String,
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
    let there = seen.slice(deployment.slice());
    let start = there.sizes.desired;
    let mut walk = Walk::new(start, estimates, deployment.stable.is_some());
    let steps: Vec<PreviewStep> = deployment
        .plan
        .steps
        .iter()
        .map(|step| walk.take(step))
        .collect();
    let end = walk.instances;
    let retires = there
        .present_others(&deployment.launch.id)
        .map(|instance| instance.id.clone())
        .collect();
    Preview {
        steps,
        retires,
        peak_instances: walk
            .curve
            .iter()
            .map(|point| point.instances)
            .max()
            .unwrap_or(start),
        extra_instance_ms: extra(&walk.curve, walk.at_ms, start.max(end)),
        capacity: walk.curve,
        calls: calls(&deployment.strategy, &deployment.plan.steps),
        expected_ms: walk.at_ms,
        point_of_no_return: walk.first_retire,
    }
}

/// Walks through a plan, adding up time and capacity.
struct Walk {
    estimates: Estimates,
    has_stable: bool,
    at_ms: u64,
    instances: u32,
    step: usize,
    first_retire: Option<usize>,
    curve: Vec<CapacityPoint>,
}

impl Walk {
    fn new(instances: u32, estimates: Estimates, has_stable: bool) -> Self {
        let curve = vec![CapacityPoint {
            at_ms: 0,
            instances,
        }];
        Self {
            estimates,
            has_stable,
            at_ms: 0,
            instances,
            step: 0,
            first_retire: None,
            curve,
        }
    }

    fn take(&mut self, step: &Step) -> PreviewStep {
        let expected_ms = match step {
            Step::Fill { count, beside, .. } => {
                self.reach(count + beside, 0);
                self.estimates.boot_ms
            }
            Step::Shift { .. } => 0,
            Step::Bake {
                until: Until::Elapsed { seconds },
                ..
            } => u64::from(*seconds) * 1000,
            Step::Retire { leaving, .. } => {
                self.first_retire = self.first_retire.or(Some(self.step));
                self.reach(*leaving, self.estimates.stop_ms);
                self.estimates.stop_ms
            }
        };
        self.at_ms += expected_ms;
        self.step += 1;
        PreviewStep {
            text: step.to_string(),
            expected_ms,
            way_back_ms: self.way_back_ms(),
        }
    }

    fn reach(&mut self, instances: u32, after_ms: u64) {
        self.instances = instances;
        self.curve.push(CapacityPoint {
            at_ms: self.at_ms + after_ms,
            instances,
        });
    }

    /// As long as nothing of stable went, the way back only stops the new instances; later it has
    /// to start stable ones first. Without a stable, it just stops everything.
    fn way_back_ms(&self) -> u64 {
        let boot = if self.has_stable && self.first_retire.is_some() {
            self.estimates.boot_ms
        } else {
            0
        };
        boot + self.estimates.stop_ms
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
/// sizes of each wave.
fn calls(strategy: &Strategy, steps: &[Step]) -> u32 {
    let Strategy::ScaleUp(_) = strategy;
    let per_step: u32 = steps
        .iter()
        .map(|step| match step {
            Step::Fill { .. } | Step::Shift { .. } => 1,
            Step::Bake { .. } => 0,
            Step::Retire { .. } => 2,
        })
        .sum();
    let retires = steps.iter().any(|step| matches!(step, Step::Retire { .. }));
    let around = if retires { 5 } else { 3 };
    per_step + around
}
