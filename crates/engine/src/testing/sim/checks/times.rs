//! Times as the world has them, whatever any wall clock shows.

use domain::{
    deployment::{Course, Deployment},
    plan::Step,
    reason::Failure,
    time::UnixMs,
};

use crate::testing::sim::TICK_MS;

/// A step begins when its engine decides so, and shows once that is saved: an engine that has no turn for
/// a few ticks saves that much later, in milliseconds.
const SAVED_LATE_MS: u64 = 5 * TICK_MS;

/// Watches how long steps take.
#[derive(Debug)]
pub(super) struct Times {
    course: Course,
    at: usize,
    since: UnixMs,
    /// Time that a person held it, in milliseconds of the current step.
    paused_ms: u64,
    promoted: bool,
    last: UnixMs,
}

impl Times {
    pub(super) fn new() -> Self {
        Self {
            course: Course::Forward,
            at: 0,
            since: UnixMs(0),
            paused_ms: 0,
            promoted: false,
            last: UnixMs(0),
        }
    }

    /// A person ended the current bake.
    pub(super) fn promote(&mut self) {
        self.promoted = true;
    }

    /// What a bake or a deadline was cut short of, if any was.
    pub(super) fn every_tick(&mut self, now: UnixMs, deployment: &Deployment) -> Option<String> {
        let progress = &deployment.progress;
        let passed_ms = now.since_ms(self.last);
        self.last = now;
        if deployment.paused.is_some() {
            self.paused_ms += passed_ms;
        }
        if (progress.course, progress.at) == (self.course, self.at) {
            return None;
        }
        let spent_ms = now.since_ms(self.since).saturating_sub(self.paused_ms) + SAVED_LATE_MS;
        let broken = self.cut_short(deployment, spent_ms);
        (self.course, self.at, self.since) = (progress.course, progress.at, now);
        (self.paused_ms, self.promoted) = (0, false);
        broken
    }

    fn cut_short(&self, deployment: &Deployment, spent_ms: u64) -> Option<String> {
        let progress = &deployment.progress;
        let went_on = progress.course == self.course && progress.at == self.at + 1;
        let turned = self.course == Course::Forward && progress.course == Course::RollingBack;
        if went_on
            && self.course == Course::Forward
            && !self.promoted
            && let Some(Step::Bake(bake)) = progress.steps.get(self.at)
            && spent_ms < u64::from(bake.until.seconds) * 1000
        {
            let seconds = bake.until.seconds;
            return Some(format!("a bake of {seconds} s ended after {spent_ms} ms"));
        }
        match &deployment.failure {
            Some(Failure::Unhealthy { within_ms, .. }) if turned && spent_ms < *within_ms => Some(
                format!("a deadline of {within_ms} ms ended after {spent_ms} ms"),
            ),
            _ => None,
        }
    }
}
