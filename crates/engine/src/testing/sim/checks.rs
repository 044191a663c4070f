//! What must be true at every tick, and at the end, whatever goes wrong.

use std::collections::BTreeSet;

use domain::{
    deployment::{Deployment, Outcome},
    observation::{InstanceId, Sizes, Weights},
    plan::{Strategy, Until},
    time::UnixMs,
};

use super::{
    TICK_MS,
    ports::{DELAY_MS_MAX, SimWorld},
    story::Story,
};
use crate::{
    testing::cloud::{Behaviour, Cloud},
    turn::DECISION_AGE_MS_MAX,
};

/// Watches one story.
#[derive(Debug)]
pub struct Checker {
    /// What was broken so far.
    pub violations: Vec<String>,
    floor: u32,
    excuse_ms: u64,
    protected_before: BTreeSet<InstanceId>,
}

impl Checker {
    /// A checker for `story`.
    #[must_use]
    pub fn new(story: &Story) -> Self {
        let group = &story.deployment.target.group;
        let asked = group.autoscaling.map_or(group.size, |bounds| bounds.min);
        let protected = story
            .cloud()
            .group
            .members
            .iter()
            .filter(|m| m.instance.protected)
            .map(|m| m.instance.id.clone())
            .collect();
        Self {
            violations: Vec::new(),
            floor: asked.min(story.sizes.desired),
            excuse_ms: story.stale_ms
                + story.lags.react
                + DECISION_AGE_MS_MAX
                + DELAY_MS_MAX
                + 2 * TICK_MS,
            protected_before: protected,
        }
    }

    /// Safety: true at every tick.
    pub fn every_tick(&mut self, deployment: &Deployment, world: &mut SimWorld) {
        let now = world.now;
        for refused in world.refused.drain(..) {
            self.broken(
                now,
                &format!("the engine made a request that AWS refuses: {refused}"),
            );
        }
        self.capacity(now, &mut world.cloud);
        let ceiling = deployment.ceiling();
        let asked = std::mem::take(&mut world.asked_max);
        if asked > ceiling && deployment.target.group.autoscaling.is_none() {
            self.broken(
                now,
                &format!("{asked} instances were asked for, the ceiling is {ceiling}"),
            );
        }
        let weights: u32 = world
            .cloud
            .group
            .weights
            .values()
            .map(|w| u32::from(*w))
            .sum();
        if weights != 0 && weights != 100 {
            self.broken(now, &format!("weights sum to {weights}"));
        }
        for unserved in world.unserved.drain(..) {
            self.broken(now, &unserved);
        }
    }

    /// The plan's own doing never takes healthy capacity under the asked count. What was lost by a
    /// fault a moment ago, and may not have been seen yet, is no doing of the plan.
    fn capacity(&mut self, now: UnixMs, cloud: &mut Cloud) {
        let shed = std::mem::take(&mut cloud.shed);
        let excused = self.recent_losses(now, cloud).len() as u32;
        let healthy = cloud.healthy();
        if shed > 0 && healthy + excused < self.floor {
            let floor = self.floor;
            self.broken(
                now,
                &format!("{shed} healthy instances were stopped, which left {healthy}; {floor} are asked for, {excused} were lost by faults"),
            );
        }
    }

    fn recent_losses<'a>(&self, now: UnixMs, cloud: &'a Cloud) -> Vec<&'a UnixMs> {
        cloud
            .losses
            .iter()
            .filter(|at| now.since_ms(**at) <= self.excuse_ms)
            .collect()
    }

    /// What the story came to, after the dust has settled.
    pub fn at_the_end(&mut self, story: &Story, deployment: &Deployment, world: &mut SimWorld) {
        let now = world.now;
        let Some(ending) = &deployment.ending else {
            let waiting = deployment.waiting.as_ref().map(ToString::to_string);
            return self.broken(
                now,
                &format!("the deployment never ended; waiting: {waiting:?}"),
            );
        };
        if !ending.certificate.is_clean() {
            self.broken(
                now,
                &format!("the certificate is not clean: {:?}", ending.certificate),
            );
        }
        if deployment.baseline.is_some() {
            self.restored(story, ending.outcome, &world.cloud, now);
            self.survivors(deployment, ending.outcome, &world.cloud, now);
        }
        self.outcome(story, ending.outcome, now);
    }

    /// Sizes, rebalancing, protection and weights: the baseline plus exactly the intended change.
    fn restored(&mut self, story: &Story, outcome: Outcome, cloud: &Cloud, now: UnixMs) {
        let group = &cloud.group;
        let settings = &story.deployment.target.group;
        let succeeded = outcome == Outcome::Succeeded;
        let sizes_right = match (settings.autoscaling, succeeded) {
            (Some(bounds), true) => {
                (group.sizes.min, group.sizes.max) == (bounds.min, bounds.max)
                    && (bounds.min..=bounds.max).contains(&group.sizes.desired)
            }
            (Some(_), false) => {
                (group.sizes.min, group.sizes.max) == (story.sizes.min, story.sizes.max)
            }
            (None, true) => group.sizes == resized(story.sizes, settings.size),
            (None, false) => group.sizes == story.sizes,
        };
        if !sizes_right {
            self.broken(
                now,
                &format!(
                    "sizes are left at {:?}, they were {:?}",
                    group.sizes, story.sizes
                ),
            );
        }
        if group.rebalancing_suspended != story.rebalancing_suspended {
            self.broken(now, "rebalancing is not as it was");
        }
        let protected: BTreeSet<InstanceId> = group
            .members
            .iter()
            .filter(|m| m.instance.protected && m.instance.state.is_present())
            .map(|m| m.instance.id.clone())
            .collect();
        if !protected.is_subset(&self.protected_before) {
            self.broken(
                now,
                &format!("instances stay protected that nobody protected: {protected:?}"),
            );
        }
        let served = succeeded || story.deployment.stable.is_some();
        let intended: Weights = story
            .deployment
            .stable
            .iter()
            .map(|_| (domain::observation::Slice::Blue, 100))
            .collect();
        if (served && group.weights.values().sum::<u8>() != 100)
            || (!served && group.weights != intended)
        {
            self.broken(now, &format!("users are split {:?}", group.weights));
        }
    }

    /// Only the right instances are left.
    fn survivors(&mut self, deployment: &Deployment, outcome: Outcome, cloud: &Cloud, now: UnixMs) {
        let launches = cloud.group.launches.as_ref().map(|launch| &launch.id);
        let stable = deployment.stable.as_ref().map(|launch| &launch.id);
        let (live, gone) = match outcome {
            Outcome::Succeeded => (Some(&deployment.launch.id), stable),
            Outcome::RolledBack | Outcome::Aborted => (stable, Some(&deployment.launch.id)),
            Outcome::Failed => (stable, None),
        };
        if launches != live {
            self.broken(
                now,
                &format!("new instances start from {launches:?} instead of {live:?}"),
            );
        }
        let wrong = cloud
            .group
            .members
            .iter()
            .find(|m| Some(&m.instance.launch) == gone);
        if let Some(wrong) = wrong {
            self.broken(
                now,
                &format!("after {outcome:?}, {:?} is still there", wrong.instance),
            );
        }
    }

    /// Where nothing goes wrong by chance, the release alone decides.
    fn outcome(&mut self, story: &Story, outcome: Outcome, now: UnixMs) {
        let good = story.new_release == Behaviour::Good;
        if outcome == Outcome::Succeeded && story.new_release == Behaviour::Broken {
            self.broken(now, "a release that never was healthy went live");
        }
        if !story.calm {
            return;
        }
        let Strategy::ScaleUp(options) = &story.deployment.strategy;
        let until = Until::Elapsed {
            seconds: options.bake_seconds,
        };
        let baked =
            story.deployment.plan.steps.iter().any(
                |step| matches!(step, domain::plan::Step::Bake { until: u, .. } if *u == until),
            );
        let bake_ms = u64::from(options.bake_seconds) * 1000;
        let fades_in_bake = matches!(story.new_release, Behaviour::Fades(after) if after < bake_ms);
        let expected = match (
            good,
            story.new_release == Behaviour::Broken || baked && fades_in_bake,
        ) {
            (true, _) => Outcome::Succeeded,
            (_, true) if story.deployment.stable.is_some() && !story.stable_is_good => {
                Outcome::Failed
            }
            (_, true) => Outcome::RolledBack,
            _ => return,
        };
        if outcome != expected {
            self.broken(
                now,
                &format!("nothing went wrong, and it ended as {outcome:?} instead of {expected:?}"),
            );
        }
    }

    fn broken(&mut self, now: UnixMs, what: &str) {
        if self.violations.len() < 10 {
            self.violations
                .push(format!("{:>7.1} s  {what}", now.0 as f64 / 1000.0));
        }
    }
}

/// The sizes that a fixed group of `before` has once it keeps `asked` instances.
fn resized(before: Sizes, asked: u32) -> Sizes {
    Sizes {
        min: if before.min == before.desired {
            asked
        } else {
            before.min.min(asked)
        },
        desired: asked,
        max: if before.max == before.desired {
            asked
        } else {
            before.max.max(asked)
        },
    }
}
