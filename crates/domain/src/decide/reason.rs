//! Why a deployment waits, and why it does not go forward any more: data, never a log line.

use serde::{Deserialize, Serialize};

use crate::{
    observation::Slice,
    release::LaunchId,
    time::{UnixMs, human_ms},
};

/// What a deployment waits for. "Why is nothing happening" is data, never a log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Waiting {
    /// Instances boot, or wait for their health checks.
    #[error(
        "{healthy} of {wanted} instances of {launch} are healthy, {pending} are starting; gives up at {deadline}{}",
        said(.trouble)
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
        /// What the provider says of those that it could not start, or that are not healthy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// An instance under watch was lost and is being replaced; the watch begins anew after that.
    #[error(
        "{healthy} of {wanted} instances of {launch} are healthy; it goes on once all are{}",
        said(.trouble)
    )]
    Recovering {
        /// Of what.
        launch: LaunchId,
        /// How many are healthy.
        healthy: u32,
        /// How many must be.
        wanted: u32,
        /// What the provider says of those that it could not start, or that are not healthy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// Under watch.
    #[error("{launch} is watched until {until}; every instance is healthy so far")]
    Baking {
        /// What.
        launch: LaunchId,
        /// When the watch ends, if nothing happens.
        until: UnixMs,
    },
    /// All users are moved; the old slice stays ready.
    #[error(
        "all users are on {launch}; {slice} stays ready for `pointsman rollback` until {until}, `pointsman promote` ends the wait"
    )]
    Warm {
        /// What users get.
        launch: LaunchId,
        /// The slice that stays.
        slice: Slice,
        /// Until when.
        until: UnixMs,
    },
    /// A gate has not enough to go by yet.
    #[error("{gate}: {text}; gives up at {deadline}")]
    Gate {
        /// Which.
        gate: String,
        /// How it stands.
        text: String,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// A person must say yes.
    #[error(
        "waits for the approval of {}; `pointsman approve` or `pointsman reject`, until {deadline}",
        if *.by_another { "somebody else than who asked for it" } else { "a person" }
    )]
    Approval {
        /// Not who asked for the deployment.
        by_another: bool,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// Routers do not serve the new weights yet.
    #[error("routers do not serve the new weights yet")]
    Weights,
    /// AWS replaces instances, or takes it back.
    #[error("AWS is at work: {text}, {percent} % replaced; gives up at {deadline}")]
    Refreshing {
        /// How it stands, in AWS's words.
        text: String,
        /// How much of the group is replaced.
        percent: u32,
        /// When the step fails, or the refresh is cancelled.
        deadline: UnixMs,
    },
    /// Somebody else has AWS replace the instances.
    #[error(
        "the instance refresh {id} of somebody else replaces the instances; it goes on once that is over"
    )]
    ForeignRefresh {
        /// AWS's id of it.
        id: String,
    },
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

fn said(trouble: &Option<String>) -> String {
    let trouble = trouble.as_ref();
    trouble.map_or_else(String::new, |it| format!("; the provider says: {it}"))
}

impl Waiting {
    /// The same wait, apart from numbers that move with every look at a gate.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gate { gate, .. }, Self::Gate { gate: other, .. }) => gate == other,
            (Self::Confirming { .. }, Self::Confirming { .. }) => true,
            // The same trouble has other words in each zone.
            (
                Self::Healthy {
                    trouble: Some(_), ..
                }
                | Self::Recovering {
                    trouble: Some(_), ..
                },
                Self::Healthy {
                    trouble: Some(_), ..
                }
                | Self::Recovering {
                    trouble: Some(_), ..
                },
            ) => self.untroubled() == other.untroubled(),
            _ => self == other,
        }
    }
}

impl Waiting {
    /// The same wait without what the provider says.
    fn untroubled(&self) -> Self {
        let mut wait = self.clone();
        if let Self::Healthy { trouble, .. } | Self::Recovering { trouble, .. } = &mut wait {
            *trouble = None;
        }
        wait
    }
}

/// Why a deployment does not go forward any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Instances did not become healthy in time.
    #[error(
        "only {healthy} of {wanted} instances of {launch} became healthy within {}{}",
        human_ms(*.within_ms),
        said(.trouble)
    )]
    Unhealthy {
        /// Of what.
        launch: LaunchId,
        /// How many did.
        healthy: u32,
        /// How many had to.
        wanted: u32,
        /// The deadline, in milliseconds.
        within_ms: u64,
        /// What the provider says of those that it could not start, or that are not healthy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
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
    /// The group grew to its limit before the deployment began.
    #[error(
        "the group keeps {current} instances now, and its size limit leaves no room to start one new instance"
    )]
    NoRoom {
        /// How many there are.
        current: u32,
    },
    /// A gate says no.
    #[error("{gate}: {text}")]
    Gate {
        /// Which.
        gate: String,
        /// What was measured, with its numbers.
        text: String,
    },
    /// A gate did not come to an answer.
    #[error("{gate} stayed open for {}, and missing evidence is no success: {text}", human_ms(*.within_ms))]
    GateOpen {
        /// Which.
        gate: String,
        /// How it stood.
        text: String,
        /// How long it was waited for, in milliseconds.
        within_ms: u64,
    },
    /// A person said no.
    #[error("rejected by {by}: {reason}")]
    Rejected {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// AWS gave up on its instance refresh, or somebody ended it.
    #[error("the instance refresh did not succeed: {text}")]
    RefreshEnded {
        /// How it stands, in AWS's words.
        text: String,
    },
    /// AWS took longer than any good refresh takes.
    #[error("AWS did not finish its instance refresh within {}: {text}", human_ms(*.within_ms))]
    RefreshLate {
        /// How it stands, in AWS's words.
        text: String,
        /// The deadline, in milliseconds.
        within_ms: u64,
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
