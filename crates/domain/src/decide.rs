//! The heart: looks at one deployment and one observation, and says what to do next.
//!
//! ```text
//! decide
//! |- not recorded yet ------------> Record(baseline)      nothing is changed before this is saved
//! |- paused ----------------------> Keep(Paused)
//! |- a step is left --+- Fill ----> fill::decide
//! |                   |- Shift ---> shift::decide
//! |                   |- Bake ----> bake::decide, which looks at gates
//! |                   |- Retire --> retire::decide
//! |                   `- Refresh -> refresh::decide, which lets AWS do it
//! `- none is left ----------------> restore::decide -----> Finish(certificate)
//! ```
//!
//! Invariant: pure and level-triggered. The same decision comes out on the first run, after a crash,
//! and in a second engine; it never depends on what was asked before, only on what is seen.

mod bake;
mod fill;
mod gates;
mod refresh;
mod restore;
mod retire;
mod shift;
mod survivors;
mod users;

pub use gates::questions;

use crate::{
    deployment::{Certificate, Course, Decided, Decision, Deployment, Held},
    effect::Effect,
    gate::Answer,
    observation::{Instance, Observation, SliceSeen},
    plan::{Baseline, SliceBaseline, Step},
    reason::{Failure, Waiting},
    release::LaunchId,
    slice::Slice,
    time::{DrivenMs, UnixMs},
};

/// The same request is made again after this, if its effect is not seen, in milliseconds.
pub const ASK_AGAIN_MS: u64 = 2000;

/// One deployment, one observation, one moment: what every arm of `decide` looks at.
struct Moment<'a> {
    deployment: &'a Deployment,
    baseline: &'a Baseline,
    seen: &'a Observation,
    /// What the world outside answered to gates.
    answers: &'a [Answer],
    now: DrivenMs,
    /// The slice that the current step is about, or that is being restored.
    at: Slice,
    slice: &'a SliceSeen,
    /// Its present instances of the launch that the step is about.
    mine: Vec<&'a Instance>,
    /// Its present instances of every other launch.
    others: Vec<&'a Instance>,
    /// How many of `mine` are healthy and sure to stay: whoever is leaving counts for nothing.
    healthy: u32,
    /// Since when nothing of stable is healthy, where stable has a slice of its own.
    stable_gone_since: Option<DrivenMs>,
}

impl<'a> Moment<'a> {
    /// The same moment, at `slice` and about `launch`.
    fn on(&self, slice: Slice, launch: &LaunchId) -> Moment<'a> {
        let seen = self.seen.slice(slice);
        let (mine, others): (Vec<_>, Vec<_>) = seen.present().partition(|it| it.launch == *launch);
        Moment {
            at: slice,
            slice: seen,
            healthy: seen.staying(mine.iter().copied()),
            mine,
            others,
            ..*self
        }
    }
    /// The slice that is looked at, before the first change.
    fn before(&self) -> SliceBaseline {
        self.baseline.slice(self.at).cloned().unwrap_or_default()
    }
    /// Milliseconds in the current step.
    fn waited_ms(&self) -> u64 {
        self.now.since_ms(self.deployment.progress.since)
    }
    /// When the current step has lasted for `ms` milliseconds, for people.
    fn ends_at(&self, ms: u64) -> UnixMs {
        let ends = self.deployment.progress.since.plus_ms(ms);
        self.deployment.time.on_the_wall(ends)
    }
    fn going_forward(&self) -> bool {
        self.deployment.progress.course == Course::Forward
    }
    fn autoscaled(&self) -> bool {
        self.deployment.target.group.autoscaling.is_some()
    }

    /// The condition holds: take it once it has held for longer than an observation may be old.
    fn reached(&self, then: Decision) -> Decision {
        self.reached_for(self.seen.stale_ms_max, then)
    }

    /// The same, for a condition on the weights.
    fn reached_by_users(&self, then: Decision) -> Decision {
        let seen = self.seen;
        self.reached_for(seen.stale_ms_max.max(seen.weights_stale_ms_max), then)
    }

    fn reached_for(&self, stale_ms_max: u64, then: Decision) -> Decision {
        let held = self.deployment.progress.held.clone();
        let held = held.unwrap_or_else(|| Held::since(self.now));
        if stale_ms_max == 0 || self.now.since_ms(held.since) > stale_ms_max {
            return then;
        }
        Decision::Hold {
            held,
            waiting: Waiting::Confirming { stale_ms_max },
        }
    }
}

/// Says what to do next about `deployment`, given what the provider sees. It is as late as the
/// deployment's own time says.
#[must_use]
pub fn decide(deployment: &Deployment, seen: &Observation, answers: &[Answer]) -> Decided {
    let Some(baseline) = &deployment.baseline else {
        return before_the_first_change(deployment, seen).into();
    };
    if let Some(pause) = &deployment.paused {
        let by = pause.by.clone();
        return Decision::Keep(Waiting::Paused { by }).into();
    }
    let next = deployment.roles.next;
    let moment = Moment {
        deployment,
        baseline,
        seen,
        answers,
        now: deployment.time.driven,
        at: next,
        slice: seen.slice(next),
        mine: Vec::new(),
        others: Vec::new(),
        healthy: 0,
        stable_gone_since: None,
    }
    .on(next, &deployment.launch.id);
    let stable_gone_since = users::stable_gone_since(&moment);
    let moment = Moment {
        stable_gone_since,
        ..moment
    };
    let decided = at_step(&moment);
    let then = not_again(deployment, seen, decided.then);
    Decided {
        then: within_budget(deployment, then),
        stable_gone_since,
        ..decided
    }
}

/// Says what the current step needs; `moment` is at the next slice, about the new launch.
fn at_step(moment: &Moment<'_>) -> Decided {
    match in_force(moment) {
        Some(Step::Fill(fill)) => fill::decide(&moment.on(fill.slice, &fill.launch), fill).into(),
        Some(Step::Shift(split)) => shift::decide(moment, split).into(),
        Some(Step::Bake(bake)) => bake::decide(&moment.on(bake.slice, &bake.launch), bake),
        Some(Step::Retire(it)) => retire::decide(&moment.on(it.slice, &it.launch), it).into(),
        Some(Step::Refresh(it)) => refresh::decide(&moment.on(it.slice, &it.launch), it).into(),
        Some(Step::EndRefresh(_)) => refresh::end(moment).into(),
        None => restore::decide(moment).into(),
    }
}

/// The current step; or one that ended a refresh, while one shows up late: nothing else goes on before.
fn in_force<'a>(moment: &Moment<'a>) -> Option<&'a Step> {
    let progress = &moment.deployment.progress;
    let mut passed = progress.steps[..progress.at].iter();
    let ended = passed.find(|step| matches!(step, Step::EndRefresh(_)));
    let broken = ended.filter(|_| refresh::is_under_way(moment));
    broken.or_else(|| moment.deployment.step())
}

/// What follows when the provider failed to answer, or refused.
#[must_use]
pub fn on_provider_error(deployment: &Deployment, transient: bool, message: &str) -> Decision {
    let message = message.to_owned();
    if transient || deployment.progress.course == Course::RollingBack {
        Decision::Keep(Waiting::Provider { message })
    } else {
        Decision::Fail(Failure::Refused { message })
    }
}

/// What follows when the provider failed to take a request, or refused it. It may have been carried out
/// all the same, so what was seen to hold before says nothing any more.
#[must_use]
pub fn on_failed_request(deployment: &Deployment, transient: bool, message: &str) -> Decision {
    match on_provider_error(deployment, transient, message) {
        Decision::Keep(waiting) => Decision::Wait(waiting),
        other => other,
    }
}

/// Keeps the baseline; or, turned round before anything was changed, just ends.
fn before_the_first_change(deployment: &Deployment, seen: &Observation) -> Decision {
    match (&deployment.paused, deployment.progress.course) {
        (_, Course::RollingBack) => Decision::Finish(Certificate { lines: Vec::new() }),
        (Some(pause), Course::Forward) => Decision::Keep(Waiting::Paused {
            by: pause.by.clone(),
        }),
        (None, Course::Forward) => Decision::Record(Baseline::of(
            seen,
            &deployment.strategy,
            deployment.stable.as_ref(),
        )),
    }
}

/// The same request is not made again before its effect could have been seen.
fn not_again(deployment: &Deployment, seen: &Observation, decision: Decision) -> Decision {
    let now = deployment.time.driven;
    let stale_ms_max = match &decision {
        Decision::Apply(Effect::SetTraffic { .. }) => {
            seen.stale_ms_max.max(seen.weights_stale_ms_max)
        }
        _ => seen.stale_ms_max,
    };
    let taken_over = deployment.taken_over_at;
    if matches!(decision, Decision::Apply(_))
        && taken_over.is_some_and(|at| now.since_ms(at) <= stale_ms_max)
        && stale_ms_max > 0
    {
        // The engine before may have made a request that is neither known nor seen.
        return Decision::Wait(Waiting::Confirming { stale_ms_max });
    }
    let patience_ms = stale_ms_max.max(ASK_AGAIN_MS);
    match (decision, &deployment.last_effect) {
        (Decision::Apply(effect), Some((last, at)))
            if effect == *last && now.since_ms(*at) <= patience_ms =>
        {
            Decision::Wait(Waiting::Accepted {
                effect: effect.to_string(),
            })
        }
        (decision, _) => decision,
    }
}

/// Turns an effect too many into a failure, going forward; the way back has no budget, because
/// giving up on it would leave the group enlarged.
fn within_budget(deployment: &Deployment, decision: Decision) -> Decision {
    let spent = deployment.effects_spent >= deployment.effects_max();
    match decision {
        Decision::Apply(_) if spent && deployment.progress.course == Course::Forward => {
            Decision::Fail(Failure::BudgetSpent {
                effects: deployment.effects_spent,
            })
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
