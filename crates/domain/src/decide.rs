//! The heart: looks at one deployment and one observation, and says what to do next.
//!
//! ```text
//! decide
//! |- not recorded yet ------------> Record(baseline)      nothing is changed before this is saved
//! |- paused ----------------------> Keep(Paused)
//! |- a step is left --+- Fill ----> fill::decide
//! |                   |- Shift ---> shift::decide
//! |                   |- Bake ----> bake::decide
//! |                   `- Retire --> retire::decide
//! `- none is left ----------------> restore::decide -----> Finish(certificate)
//! ```
//!
//! Invariant: pure and level-triggered. The same decision comes out on the first run, after a crash,
//! and in a second engine; it never depends on what was asked before, only on what is seen.

mod bake;
mod fill;
mod restore;
mod retire;
mod shift;
mod survivors;

use serde::{Deserialize, Serialize};

use crate::{
    deployment::{Baseline, Certificate, Course, Deployment},
    effect::Effect,
    observation::{Observation, SliceSeen},
    plan::Step,
    release::LaunchId,
    time::{UnixMs, human_ms},
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
    /// The condition is reached.
    Next,
    /// The condition will not be reached.
    Fail(Failure),
    /// The baseline is restored.
    Finish(Certificate),
}

/// What a deployment waits for. "Why is nothing happening" is data, never a log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Waiting {
    /// Instances boot, or wait for their health checks.
    #[error(
        "{healthy} of {wanted} instances of {launch} are healthy, {pending} are starting; gives up at {deadline}"
    )]
    Healthy {
        /// Of what.
        launch: LaunchId,
        /// How many are.
        healthy: u32,
        /// How many must be.
        wanted: u32,
        /// How many are started and not yet healthy.
        pending: u32,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// An instance under watch was lost and is being replaced; the watch begins anew after that.
    #[error(
        "{healthy} of {wanted} instances of {launch} are healthy; the bake begins anew once all are"
    )]
    Recovering {
        /// Of what.
        launch: LaunchId,
        /// How many are healthy.
        healthy: u32,
        /// How many must be.
        wanted: u32,
    },
    /// Under watch.
    #[error("{launch} is watched until {until}; every instance is healthy so far")]
    Baking {
        /// What.
        launch: LaunchId,
        /// When the watch ends, if nothing happens.
        until: UnixMs,
    },
    /// Routers do not serve the new weights yet.
    #[error("routers do not serve the new weights yet")]
    Weights,
    /// Old instances finish their last requests.
    #[error("{left} instances of {launch} finish their last requests and stop")]
    Draining {
        /// Of what.
        launch: LaunchId,
        /// How many are still listed.
        left: u32,
    },
    /// The provider may show an old state; a second look must agree.
    #[error("the provider may show an old state for up to {}; looking again", human_ms(*.stale_ms_max))]
    Confirming {
        /// How old, in milliseconds.
        stale_ms_max: u64,
    },
    /// The provider accepted a request, and does not show its effect yet.
    #[error("the provider was asked ({effect}) and does not show it yet")]
    Accepted {
        /// For what.
        effect: String,
    },
    /// Sizes are being brought back.
    #[error("the group returns to its size: {present} instances are there, {wanted} stay")]
    Settling {
        /// How many are there.
        present: u32,
        /// How many will be.
        wanted: u32,
    },
    /// Held by a person.
    #[error("paused by {by}; `pointsman resume` lets it go on, `pointsman abort` goes back")]
    Paused {
        /// Who.
        by: String,
    },
    /// The provider does not answer, or refuses on the way back.
    #[error("the provider cannot be used now: {message}; looking again")]
    Provider {
        /// What it said.
        message: String,
    },
}

/// Why a deployment does not go forward any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Instances did not become healthy in time.
    #[error("only {healthy} of {wanted} instances of {launch} became healthy within {}", human_ms(*.within_ms))]
    Unhealthy {
        /// Of what.
        launch: LaunchId,
        /// How many did.
        healthy: u32,
        /// How many had to.
        wanted: u32,
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// Healthy instances did not stay so under watch.
    #[error(
        "{launch} did not stay healthy under watch: {healthy} of {wanted} instances were healthy"
    )]
    NotStable {
        /// What.
        launch: LaunchId,
        /// How many were healthy.
        healthy: u32,
        /// How many had to be.
        wanted: u32,
    },
    /// Routers did not take the weights in time.
    #[error("routers did not serve the new weights within {}", human_ms(*.within_ms))]
    NotShifted {
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// Old instances did not go in time.
    #[error("{left} instances of {launch} were still there after {}", human_ms(*.within_ms))]
    NotRetired {
        /// Of what.
        launch: LaunchId,
        /// How many.
        left: u32,
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// The provider said no for good.
    #[error("the provider refused: {message}")]
    Refused {
        /// What it said.
        message: String,
    },
    /// Something undoes what this deployment does.
    #[error(
        "{effects} requests to the provider did not bring the deployment to its end; somebody else may be changing the same group"
    )]
    BudgetSpent {
        /// How many.
        effects: u32,
    },
    /// A person aborted.
    #[error("aborted by {by}: {reason}")]
    Aborted {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person rolled back.
    #[error("rolled back by {by}: {reason}")]
    RolledBackByPerson {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The way back did not work either.
    #[error("{first}; on the way back, {then}: the healthiest instances were kept")]
    StableLost {
        /// Why it turned round.
        first: String,
        /// Why the way back failed.
        then: String,
    },
}

/// One deployment, one observation, one moment: what every arm of `decide` looks at.
struct Look<'a> {
    deployment: &'a Deployment,
    baseline: &'a Baseline,
    seen: &'a Observation,
    slice: SliceSeen,
    now: UnixMs,
}

impl Look<'_> {
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
        let since = self.deployment.progress.holds_since.unwrap_or(self.now);
        let stale_ms_max = self.seen.stale_ms_max;
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
pub fn decide(deployment: &Deployment, seen: &Observation, now: UnixMs) -> Decision {
    let Some(baseline) = &deployment.baseline else {
        return before_the_first_change(deployment, seen);
    };
    if let Some(pause) = &deployment.paused {
        return Decision::Keep(Waiting::Paused {
            by: pause.by.clone(),
        });
    }
    let look = Look {
        deployment,
        baseline,
        seen,
        slice: seen.slice(baseline.slice),
        now,
    };
    let decision = match deployment.step() {
        Some(Step::Fill {
            launch,
            count,
            beside,
            ..
        }) => fill::decide(
            &look,
            &fill::Fill {
                launch,
                count: *count,
                beside: *beside,
            },
        ),
        Some(Step::Shift { weights }) => shift::decide(&look, weights),
        Some(Step::Bake {
            launch,
            count,
            until,
            ..
        }) => bake::decide(&look, launch, *count, until),
        Some(Step::Retire {
            launch,
            keep,
            leaving,
            ..
        }) => retire::decide(
            &look,
            &retire::Retire {
                launch,
                keep: *keep,
                leaving: *leaving,
            },
        ),
        None => restore::decide(&look),
    };
    within_budget(deployment, not_again(deployment, seen, now, decision))
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
        (None, Course::Forward) => Decision::Record(Baseline::of(seen, deployment.slice())),
    }
}

/// The same request is not made again before its effect could have been seen.
fn not_again(
    deployment: &Deployment,
    seen: &Observation,
    now: UnixMs,
    decision: Decision,
) -> Decision {
    let patience_ms = seen.stale_ms_max.max(ASK_AGAIN_MS);
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
