//! Why a deployment does not go forward any more.

use serde::{Deserialize, Serialize};

use super::says;
use crate::{release::LaunchId, time::human_ms, versions::Versions, who::WhoCanAct};

/// Why a deployment does not go forward any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Instances did not become healthy in time.
    Unhealthy {
        /// What they run.
        launch: LaunchId,
        /// How many became healthy.
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
    NotStable {
        /// What they run.
        launch: LaunchId,
        /// How many were healthy.
        healthy: u32,
        /// How many had to be.
        wanted: u32,
    },
    /// The group grew to its limit before the deployment began.
    NoRoom {
        /// How many instances there are.
        current: u32,
    },
    /// A gate failed.
    Gate {
        /// The name of the gate.
        gate: String,
        /// What was measured, with its numbers.
        text: String,
    },
    /// A gate did not come to an answer.
    GateOpen {
        /// The name of the gate.
        gate: String,
        /// What was measured last.
        text: String,
        /// How long it was waited for, in milliseconds.
        within_ms: u64,
    },
    /// A person rejected the deployment.
    Rejected {
        /// The person.
        by: String,
        /// Why, in their words.
        reason: String,
    },
    /// AWS gave up on its instance refresh, or somebody ended it.
    RefreshEnded {
        /// The state of the refresh, in AWS's words.
        text: String,
    },
    /// AWS took longer than any good refresh takes.
    RefreshLate {
        /// The state of the refresh, in AWS's words.
        text: String,
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// Routers did not take the weights in time.
    NotShifted {
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// Old instances did not go in time.
    NotRetired {
        /// What they run.
        launch: LaunchId,
        /// How many are left.
        left: u32,
        /// The deadline, in milliseconds.
        within_ms: u64,
    },
    /// The provider refused for good.
    Refused {
        /// What it said.
        message: String,
    },
    /// Something undoes what this deployment does.
    BudgetSpent {
        /// How many requests were made.
        effects: u32,
    },
    /// A person aborted.
    Aborted {
        /// The person.
        by: String,
        /// Why, in their words.
        reason: String,
    },
    /// A person rolled back.
    RolledBackByPerson {
        /// The person.
        by: String,
        /// Why, in their words.
        reason: String,
    },
    /// The way back did not work either.
    StableLost {
        /// Why the deployment was rolled back.
        first: String,
        /// Why the way back failed.
        then: String,
    },
}

impl Failure {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unhealthy { .. } => "unhealthy",
            Self::NotStable { .. } => "not_stable",
            Self::NoRoom { .. } => "no_room",
            Self::Gate { .. } => "gate",
            Self::GateOpen { .. } => "gate_open",
            Self::Rejected { .. } => "rejected",
            Self::RefreshEnded { .. } => "refresh_ended",
            Self::RefreshLate { .. } => "refresh_late",
            Self::NotShifted { .. } => "not_shifted",
            Self::NotRetired { .. } => "not_retired",
            Self::Refused { .. } => "refused",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::Aborted { .. } => "aborted",
            Self::RolledBackByPerson { .. } => "rolled_back_by_person",
            Self::StableLost { .. } => "stable_lost",
        }
    }

    /// Who can remove the cause, so that another deployment gets further.
    #[must_use]
    pub fn who_can_act(&self) -> WhoCanAct {
        match self {
            Self::Unhealthy {
                trouble: Some(_), ..
            }
            | Self::RefreshEnded { .. }
            | Self::RefreshLate { .. }
            | Self::NotShifted { .. }
            | Self::NotRetired { .. }
            | Self::Refused { .. }
            | Self::BudgetSpent { .. }
            | Self::StableLost { .. } => WhoCanAct::ProviderAdministrator,
            Self::Unhealthy { trouble: None, .. }
            | Self::NotStable { .. }
            | Self::NoRoom { .. }
            | Self::Gate { .. } => WhoCanAct::Owner,
            Self::GateOpen { .. }
            | Self::Rejected { .. }
            | Self::Aborted { .. }
            | Self::RolledBackByPerson { .. } => WhoCanAct::Operator,
        }
    }

    /// The failure as a sentence that speaks of versions.
    #[must_use]
    pub fn sentence(&self, versions: &Versions) -> String {
        match self {
            Self::Unhealthy {
                launch,
                healthy,
                wanted,
                within_ms,
                trouble,
            } => format!(
                "only {healthy} of {wanted} instances of {} became healthy within {}{}",
                versions.name(launch),
                human_ms(*within_ms),
                says(trouble.as_ref())
            ),
            Self::NotStable {
                launch,
                healthy,
                wanted,
            } => format!(
                "{} did not stay healthy under watch: {healthy} of {wanted} instances were healthy",
                versions.name(launch)
            ),
            Self::NoRoom { current } => format!(
                "the group keeps {current} instances now, and its size limit leaves no room to \
                 start one new instance"
            ),
            Self::Gate { gate, text } => format!("{gate}: {text}"),
            Self::GateOpen {
                gate,
                text,
                within_ms,
            } => format!(
                "{gate} stayed open for {}, and missing evidence never counts as success: {text}",
                human_ms(*within_ms)
            ),
            Self::Rejected { by, reason } => format!("rejected by {by}: {reason}"),
            Self::RefreshEnded { text } => format!("the instance refresh did not succeed: {text}"),
            Self::RefreshLate { text, within_ms } => format!(
                "AWS did not finish its instance refresh within {}: {text}",
                human_ms(*within_ms)
            ),
            Self::NotShifted { within_ms } => format!(
                "routers did not serve the new weights within {}",
                human_ms(*within_ms)
            ),
            Self::NotRetired {
                launch,
                left,
                within_ms,
            } => format!(
                "{left} instances of {} were still there after {}",
                versions.name(launch),
                human_ms(*within_ms)
            ),
            Self::Refused { message } => format!("the provider refused: {message}"),
            Self::BudgetSpent { effects } => format!(
                "{effects} requests to the provider did not complete the deployment; somebody else \
                 may be changing the same group"
            ),
            Self::Aborted { by, reason } => format!("aborted by {by}: {reason}"),
            Self::RolledBackByPerson { by, reason } => format!("rolled back by {by}: {reason}"),
            Self::StableLost { first, then } => {
                format!("{first}; on the way back, {then}: the healthiest instances were kept")
            }
        }
    }
}
