//! The fields of waits and failures, apart from what all reasons have.

use domain::{
    reason::{Failure, Waiting},
    release::LaunchId,
    versions::Versions,
};
use serde::Serialize;
use utoipa::ToSchema;

/// The fields of a wait or a failure. Each reason has some of them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ReasonFields {
    /// The release whose instances it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What these instances are counted by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// The slice that stays ready: `blue` or `green`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<String>,
    /// How many instances are healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<u32>,
    /// How many instances are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u32>,
    /// How many instances are started and not yet healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u32>,
    /// How many instances there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub present: Option<u32>,
    /// How many instances have not stopped yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// The name of the gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<String>,
    /// What the gate measured last, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// The person who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in that person's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The approver must not be the requester.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_another: Option<bool>,
    /// The provider's id of the instance refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// The state of the instance refresh, in AWS's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_state: Option<String>,
    /// How much of the group is replaced, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// What the provider was asked for, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// How many requests the provider was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effects: Option<u32>,
    /// What the provider says, in its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_says: Option<String>,
    /// What the database says, in its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_says: Option<String>,
    /// How old what the provider shows may be, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_ms_max: Option<u64>,
    /// The time limit that was not kept, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// Why it was rolled back in the first place, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Why the way back failed too, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
}

impl ReasonFields {
    /// The fields of a wait.
    pub(super) fn of_waiting(waiting: &Waiting, versions: &Versions) -> Self {
        match waiting {
            Waiting::Healthy {
                launch,
                healthy,
                wanted,
                pending,
                trouble,
                ..
            } => Self {
                pending: Some(*pending),
                provider_says: trouble.clone(),
                ..Self::of_instances(launch, versions).counted(*healthy, *wanted)
            },
            Waiting::Recovering {
                launch,
                healthy,
                wanted,
                trouble,
            } => Self {
                provider_says: trouble.clone(),
                ..Self::of_instances(launch, versions).counted(*healthy, *wanted)
            },
            Waiting::Baking { launch, .. } => Self::of_instances(launch, versions),
            Waiting::Warm { launch, slice, .. } => Self {
                slice: Some(slice.to_string()),
                ..Self::of_instances(launch, versions)
            },
            Waiting::Gate { gate, text, .. } | Waiting::Undecided { gate, text, .. } => {
                Self::of_gate(gate, text)
            }
            Waiting::Approval { by_another, .. } => Self {
                by_another: Some(*by_another),
                ..Self::default()
            },
            Waiting::Weights => Self::default(),
            Waiting::Refreshing { text, percent, .. } => Self {
                percent: Some(*percent),
                ..Self::of_refresh(text)
            },
            Waiting::ForeignRefresh { id } => Self {
                refresh: Some(id.clone()),
                ..Self::default()
            },
            Waiting::Draining { launch, left } => Self {
                left: Some(*left),
                ..Self::of_instances(launch, versions)
            },
            Waiting::Confirming { stale_ms_max } => Self {
                stale_ms_max: Some(*stale_ms_max),
                ..Self::default()
            },
            Waiting::Accepted { effect } => Self {
                effect: Some(effect.clone()),
                ..Self::default()
            },
            Waiting::Settling { present, wanted } => Self {
                present: Some(*present),
                wanted: Some(*wanted),
                ..Self::default()
            },
            Waiting::Paused { by } => Self::by(by),
            Waiting::Provider { message } => Self::said(message),
            Waiting::Database { why } => Self {
                database_says: Some(why.clone()),
                ..Self::default()
            },
            Waiting::Unattended { .. } => Self::default(),
        }
    }

    /// The fields of a failure.
    pub(super) fn of_failure(failure: &Failure, versions: &Versions) -> Self {
        match failure {
            Failure::Unhealthy {
                launch,
                healthy,
                wanted,
                within_ms,
                trouble,
            } => Self {
                provider_says: trouble.clone(),
                ..Self::of_instances(launch, versions)
                    .counted(*healthy, *wanted)
                    .within(*within_ms)
            },
            Failure::NotStable {
                launch,
                healthy,
                wanted,
            } => Self::of_instances(launch, versions).counted(*healthy, *wanted),
            Failure::NoRoom { current } => Self {
                present: Some(*current),
                ..Self::default()
            },
            Failure::Gate { gate, text } => Self::of_gate(gate, text),
            Failure::GateOpen {
                gate,
                text,
                within_ms,
            } => Self::of_gate(gate, text).within(*within_ms),
            Failure::Rejected { by, reason }
            | Failure::Aborted { by, reason }
            | Failure::RolledBackByPerson { by, reason } => Self {
                why: Some(reason.clone()),
                ..Self::by(by)
            },
            Failure::RefreshEnded { text } => Self::of_refresh(text),
            Failure::RefreshLate { text, within_ms } => Self::of_refresh(text).within(*within_ms),
            Failure::NotShifted { within_ms } => Self::default().within(*within_ms),
            Failure::NotRetired {
                launch,
                left,
                within_ms,
            } => Self {
                left: Some(*left),
                ..Self::of_instances(launch, versions).within(*within_ms)
            },
            Failure::Refused { message } => Self::said(message),
            Failure::BudgetSpent { effects } => Self {
                effects: Some(*effects),
                ..Self::default()
            },
            Failure::StableLost { first, then } => Self {
                first: Some(first.clone()),
                second: Some(then.clone()),
                ..Self::default()
            },
        }
    }
}

impl ReasonFields {
    fn of_instances(launch: &LaunchId, versions: &Versions) -> Self {
        Self {
            version: versions.get(launch).map(ToString::to_string),
            launch: Some(launch.to_string()),
            ..Self::default()
        }
    }

    fn of_gate(name: &str, measured: &str) -> Self {
        Self {
            gate: Some(name.to_owned()),
            measured: Some(measured.to_owned()),
            ..Self::default()
        }
    }

    fn of_refresh(state: &str) -> Self {
        Self {
            refresh_state: Some(state.to_owned()),
            ..Self::default()
        }
    }

    fn by(person: &str) -> Self {
        Self {
            by: Some(person.to_owned()),
            ..Self::default()
        }
    }

    fn said(message: &str) -> Self {
        Self {
            provider_says: Some(message.to_owned()),
            ..Self::default()
        }
    }

    fn counted(self, healthy: u32, wanted: u32) -> Self {
        Self {
            healthy: Some(healthy),
            wanted: Some(wanted),
            ..self
        }
    }

    fn within(self, ms: u64) -> Self {
        Self {
            within_ms: Some(ms),
            ..self
        }
    }
}
