//! How users come to the new release.

use domain::{
    deployment::{Course, Deployment},
    plan::Step,
    time::UnixMs,
};

use super::Checker;
use crate::testing::sim::{TICK_MS, ports::SimWorld};

impl Checker {
    /// Going forward, the share of the new release only grows, and only while all of it is healthy.
    pub(super) fn widening(&mut self, now: UnixMs, deployment: &Deployment, world: &SimWorld) {
        let (next, cloud) = (self.roles.next, &world.cloud);
        let share = cloud.weights.share(next);
        let forward = deployment.progress.course == Course::Forward;
        if cloud.slices[&self.roles.live].healthy() == 0 {
            self.emergency = true;
            self.dead_since.get_or_insert(now);
        }
        self.given_away(now, deployment, share, world);
        let undisturbed = self.orderly && world.meddled.is_none() && !self.emergency;
        let planned = self.roles.are_apart() && forward && undisturbed;
        if planned && share < self.share {
            let before = self.share;
            self.broken(
                now,
                &format!("the share of {next} fell from {before} % to {share} %"),
            );
        }
        let healthy = cloud.slices[&next].healthy();
        let excused = self.recent_losses(now, cloud);
        let asked = deployment.capacity().asked;
        let fixed = deployment.target.group.autoscaling.is_none();
        if planned && fixed && share > self.share && healthy + excused < asked {
            self.broken(
                now,
                &format!("users were moved to {next}, where {healthy} of {asked} are healthy"),
            );
        }
        self.share = share;
    }

    /// The new release gets more users than the plan gives it only once stable had nobody for the whole
    /// health deadline: one look at which it is ill moves nobody.
    fn given_away(&mut self, now: UnixMs, deployment: &Deployment, share: u8, world: &SimWorld) {
        let progress = &deployment.progress;
        let reached = &progress.steps[..progress.steps.len().min(progress.at + 1)];
        let planned = reached.iter().filter_map(|step| match step {
            Step::Shift(split) => Some(split.weights.share(self.roles.next)),
            _ => None,
        });
        let planned = planned.max().unwrap_or(0).max(self.share);
        let forward = progress.course == Course::Forward;
        let apart = self.roles.are_apart() && forward && self.orderly && world.meddled.is_none();
        let patience_ms = deployment.strategy.health_deadline_ms();
        let lasted = self
            .dead_since
            .is_some_and(|since| now.since_ms(since) + 2 * TICK_MS >= patience_ms);
        if apart && share > planned && !lasted {
            let next = self.roles.next;
            self.broken(
                now,
                &format!("{next} got {share} % of the users, {planned} % are planned"),
            );
        }
    }
}
