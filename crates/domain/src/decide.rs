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
mod reason;
mod refresh;
mod restore;
mod retire;
mod shift;
mod survivors;

pub use gates::questions;
pub use reason::{Failure, Then, Waiting};

use crate::{
    deployment::{Baseline, Certificate, Course, Deployment, SliceBaseline, Watch},
    effect::Effect,
    gate::{Answer, GateLook},
    observation::{Observation, Slice, SliceSeen},
    plan::Step,
    time::UnixMs,
};

/// The same request is made again after this, if its effect is not seen, in milliseconds.
pub const ASK_AGAIN_MS: u64 = 2000;

/// What one turn does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Keep this baseline before anything is changed.
    Record(Baseline),
    /// Ask the provider for this.
    Apply(Effect),
    /// The condition holds since `since`; go on looking.
    Hold {
        /// Since when, without a break.
        since: UnixMs,
        /// What it is held for.
        waiting: Waiting,
    },
    /// The condition does not hold yet.
    Wait(Waiting),
    /// Nothing can be learned now; what was known stays.
    Keep(Waiting),
    /// Gates were looked at: keep what was seen, and then do this.
    Look {
        /// What to keep.
        watch: Box<Watch>,
        /// The looks, for people.
        looks: Vec<GateLook>,
        /// What follows.
        then: Box<Decision>,
    },
    /// The condition is reached.
    Next,
    /// The condition will not be reached.
    Fail(Failure),
    /// The baseline is restored.
    Finish(Certificate),
}

impl Decision {
    /// What it comes to, whether gates were looked at or not.
    #[must_use]
    pub fn settled(&self) -> &Self {
        match self {
            Self::Look { then, .. } => then.settled(),
            other => other,
        }
    }
}

/// One deployment, one observation, one moment: what every arm of `decide` looks at.
struct Look<'a> {
    deployment: &'a Deployment,
    baseline: &'a Baseline,
    seen: &'a Observation,
    /// What the world outside answered to gates.
    answers: &'a [Answer],
    /// The slice that the current step is about, or that is being restored.
    at: Slice,
    slice: SliceSeen,
    now: UnixMs,
}

impl<'a> Look<'a> {
    /// The same moment, at another slice.
    fn on(&self, slice: Slice) -> Look<'a> {
        Look {
            at: slice,
            slice: self.seen.slice(slice),
            ..*self
        }
    }
    /// The slice that is looked at, before the first change.
    fn before(&self) -> SliceBaseline {
        self.baseline.slice(self.at).cloned().unwrap_or_default()
    }
    /// Percent of the users that `slice` was seen to serve.
    fn users_on(&self, slice: Slice) -> u8 {
        self.seen.weights.get(&slice).copied().unwrap_or(0)
    }
    /// Milliseconds in the current step.
    fn waited_ms(&self) -> u64 {
        self.now.since_ms(self.deployment.progress.since)
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
        let since = self.deployment.progress.holds_since.unwrap_or(self.now);
        if stale_ms_max == 0 || self.now.since_ms(since) > stale_ms_max {
            return then;
        }
        Decision::Hold {
            since,
            waiting: Waiting::Confirming { stale_ms_max },
        }
    }
}

/// Says what to do next about `deployment`, given what the provider sees.
#[must_use]
pub fn decide(
    deployment: &Deployment,
    seen: &Observation,
    answers: &[Answer],
    now: UnixMs,
) -> Decision {
    let Some(baseline) = &deployment.baseline else {
        return before_the_first_change(deployment, seen);
    };
    if let Some(pause) = &deployment.paused {
        return Decision::Keep(Waiting::Paused {
            by: pause.by.clone(),
        });
    }
    let look = |at| Look {
        deployment,
        baseline,
        seen,
        answers,
        at,
        slice: seen.slice(at),
        now,
    };
    let under_way = refresh::still_under_way(&look(deployment.roles.next));
    let decision = under_way.unwrap_or_else(|| at_step(deployment, look));
    within_budget(deployment, not_again(deployment, seen, now, decision))
}

/// Says what the current step needs.
fn at_step<'a>(deployment: &Deployment, look: impl Fn(Slice) -> Look<'a>) -> Decision {
    match deployment.step() {
        Some(Step::Fill {
            slice,
            launch,
            count,
            beside,
        }) => fill::decide(
            &look(*slice),
            &fill::Fill {
                launch,
                count: *count,
                beside: *beside,
            },
        ),
        Some(Step::Shift { weights, mirror }) => {
            shift::decide(&look(deployment.roles.next), weights, mirror.as_ref())
        }
        Some(Step::Bake {
            slice,
            launch,
            count,
            until,
        }) => bake::decide(&look(*slice), launch, *count, until),
        Some(Step::Retire {
            slice,
            launch,
            keep,
            leaving,
        }) => retire::decide(
            &look(*slice),
            &retire::Retire {
                launch,
                keep: *keep,
                leaving: *leaving,
            },
        ),
        Some(Step::Refresh {
            slice,
            launch,
            count,
            preferences,
        }) => refresh::decide(
            &look(*slice),
            &refresh::Refresh {
                launch,
                count: *count,
                preferences,
            },
        ),
        Some(Step::EndRefresh { slice }) => look(*slice).reached(Decision::Next),
        None => restore::decide(&look(deployment.roles.next)),
    }
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
fn not_again(
    deployment: &Deployment,
    seen: &Observation,
    now: UnixMs,
    decision: Decision,
) -> Decision {
    let stale_ms_max = match &decision {
        Decision::Apply(Effect::SetTraffic { .. }) => {
            seen.stale_ms_max.max(seen.weights_stale_ms_max)
        }
        _ => seen.stale_ms_max,
    };
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
