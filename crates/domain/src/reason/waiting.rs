//! What a deployment waits for.

use serde::{Deserialize, Serialize};

use super::says;
use crate::{
    release::LaunchId,
    slice::Slice,
    time::{UnixMs, human_ms},
    versions::Versions,
    who::WhoCanAct,
};

/// What a deployment waits for. "Why is nothing happening" is data, never a log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Waiting {
    /// Instances boot, or wait for their health checks.
    Healthy {
        /// What they run.
        launch: LaunchId,
        /// How many are healthy.
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
    /// An instance under watch was lost and is being replaced; the watch begins again after that.
    Recovering {
        /// What it ran.
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
    Baking {
        /// What is watched.
        launch: LaunchId,
        /// When the watch ends, if nothing happens.
        until: UnixMs,
    },
    /// All users are moved; the old slice stays ready.
    Warm {
        /// What users get.
        launch: LaunchId,
        /// The slice that stays.
        slice: Slice,
        /// When it may go.
        until: UnixMs,
    },
    /// A gate has not enough to go by yet.
    Gate {
        /// The name of the gate.
        gate: String,
        /// What it measured last.
        text: String,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// A person must approve.
    Approval {
        /// Not the person who requested the deployment.
        by_another: bool,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// A gate cannot say whether the release is worse, and a person must decide.
    Undecided {
        /// The name of the gate.
        gate: String,
        /// What it measured last.
        text: String,
        /// When the step fails.
        deadline: UnixMs,
    },
    /// Routers do not serve the new weights yet.
    Weights,
    /// AWS replaces instances, or takes it back.
    Refreshing {
        /// The state of the refresh, in AWS's words.
        text: String,
        /// How much of the group is replaced.
        percent: u32,
        /// When the step fails, or the refresh is cancelled.
        deadline: UnixMs,
    },
    /// Somebody else has AWS replace the instances.
    ForeignRefresh {
        /// AWS's id of it.
        id: String,
    },
    /// Old instances finish their last requests.
    Draining {
        /// What they run.
        launch: LaunchId,
        /// How many are still listed.
        left: u32,
    },
    /// The provider may show an old state; a second look must agree.
    Confirming {
        /// How old, in milliseconds.
        stale_ms_max: u64,
    },
    /// The provider accepted a request, and does not show its effect yet.
    Accepted {
        /// The request.
        effect: String,
    },
    /// Sizes are being brought back.
    Settling {
        /// How many instances are there.
        present: u32,
        /// How many will stay.
        wanted: u32,
    },
    /// Paused by a person.
    Paused {
        /// The person.
        by: String,
    },
    /// The provider does not answer, or refuses on the way back.
    Provider {
        /// What it said.
        message: String,
    },
    /// The database cannot be written. Never stored, for that reason; only shown.
    Database {
        /// What the database said.
        why: String,
    },
    /// No server drives it. Never stored; only shown.
    Unattended {
        /// When a server looked at it last.
        since: UnixMs,
    },
}

/// What follows when a wait has lasted until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The deployment goes on.
    GoesOn,
    /// The step fails.
    GivesUp,
}

impl Then {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoesOn => "goes_on",
            Self::GivesUp => "gives_up",
        }
    }
}

impl Waiting {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy { .. } => "healthy",
            Self::Recovering { .. } => "recovering",
            Self::Baking { .. } => "baking",
            Self::Warm { .. } => "warm",
            Self::Gate { .. } => "gate",
            Self::Approval { .. } => "approval",
            Self::Undecided { .. } => "undecided",
            Self::Weights => "weights",
            Self::Refreshing { .. } => "refreshing",
            Self::ForeignRefresh { .. } => "foreign_refresh",
            Self::Draining { .. } => "draining",
            Self::Confirming { .. } => "confirming",
            Self::Accepted { .. } => "accepted",
            Self::Settling { .. } => "settling",
            Self::Paused { .. } => "paused",
            Self::Provider { .. } => "provider",
            Self::Database { .. } => "database",
            Self::Unattended { .. } => "unattended",
        }
    }

    /// When the wait ends at the latest, and what follows then; `None` where nobody knows.
    #[must_use]
    pub fn until(&self) -> Option<(UnixMs, Then)> {
        match self {
            Self::Baking { until, .. } | Self::Warm { until, .. } => Some((*until, Then::GoesOn)),
            Self::Healthy { deadline, .. }
            | Self::Gate { deadline, .. }
            | Self::Approval { deadline, .. }
            | Self::Undecided { deadline, .. }
            | Self::Refreshing { deadline, .. } => Some((*deadline, Then::GivesUp)),
            Self::Recovering { .. }
            | Self::Weights
            | Self::ForeignRefresh { .. }
            | Self::Draining { .. }
            | Self::Confirming { .. }
            | Self::Accepted { .. }
            | Self::Settling { .. }
            | Self::Paused { .. }
            | Self::Provider { .. }
            | Self::Database { .. }
            | Self::Unattended { .. } => None,
        }
    }

    /// Who can end the wait.
    #[must_use]
    pub fn who_can_act(&self) -> WhoCanAct {
        match self {
            Self::Baking { .. } | Self::Warm { .. } | Self::Confirming { .. } => WhoCanAct::Time,
            Self::Healthy { trouble, .. } | Self::Recovering { trouble, .. } => match trouble {
                Some(_) => WhoCanAct::ProviderAdministrator,
                None => WhoCanAct::Engine,
            },
            Self::ForeignRefresh { .. } | Self::Provider { .. } => WhoCanAct::ProviderAdministrator,
            Self::Gate { .. }
            | Self::Weights
            | Self::Refreshing { .. }
            | Self::Draining { .. }
            | Self::Accepted { .. }
            | Self::Settling { .. } => WhoCanAct::Engine,
            Self::Approval { .. } | Self::Undecided { .. } => WhoCanAct::Approver,
            Self::Paused { .. } | Self::Database { .. } | Self::Unattended { .. } => {
                WhoCanAct::Operator
            }
        }
    }

    /// The wait as a sentence that speaks of versions.
    #[must_use]
    pub fn sentence(&self, versions: &Versions) -> String {
        match self {
            Self::Healthy {
                launch,
                healthy,
                wanted,
                pending,
                trouble,
                ..
            } => format!(
                "{healthy} of {wanted} instances of {} are healthy, {pending} are starting{}",
                versions.name(launch),
                says(trouble.as_ref())
            ),
            Self::Recovering {
                launch,
                healthy,
                wanted,
                trouble,
            } => format!(
                "{healthy} of {wanted} instances of {} are healthy; waiting for the rest{}",
                versions.name(launch),
                says(trouble.as_ref())
            ),
            Self::Baking { launch, .. } => format!(
                "baking {}: every instance is healthy so far",
                versions.name(launch)
            ),
            Self::Warm { launch, slice, .. } => format!(
                "all users are on {}; {slice} stays ready for a rollback",
                versions.name(launch)
            ),
            Self::Gate { gate, text, .. } => format!("{gate}: {text}"),
            Self::Approval { by_another, .. } => match by_another {
                true => "somebody other than the requester must approve the deployment".to_owned(),
                false => "a person must approve the deployment".to_owned(),
            },
            Self::Undecided { gate, text, .. } => format!(
                "{gate} cannot say whether the release is worse, so a person must decide: {text}"
            ),
            Self::Weights => "routers do not serve the new weights yet".to_owned(),
            Self::Refreshing { text, percent, .. } => {
                format!("AWS instance refresh: {text}, {percent} % replaced")
            }
            Self::ForeignRefresh { id } => format!(
                "instance refresh {id}, started by somebody else, is replacing the instances; \
                 waiting for it to end"
            ),
            Self::Draining { launch, left } => format!(
                "{left} instances of {} are finishing their last requests",
                versions.name(launch)
            ),
            Self::Confirming { stale_ms_max } => format!(
                "what the provider shows may be up to {} old; checking again",
                human_ms(*stale_ms_max)
            ),
            Self::Accepted { effect } => {
                format!(
                    "the provider accepted a request ({effect}) and does not show its effect yet"
                )
            }
            Self::Settling { present, wanted } => format!(
                "the group is returning to its size: {present} instances are there, {wanted} stay"
            ),
            Self::Paused { by } => format!("paused by {by}"),
            Self::Provider { message } => {
                format!("the provider failed: {message}; trying again")
            }
            Self::Database { .. } | Self::Unattended { .. } => self.only_shown(),
        }
    }

    /// The sentence of what is never stored.
    fn only_shown(&self) -> String {
        match self {
            Self::Database { why } => {
                format!("the database cannot be written: {why}; trying again")
            }
            Self::Unattended { since } => format!(
                "no server has looked at the deployment since {since}; it continues once a server runs that reaches its cloud"
            ),
            _ => String::new(),
        }
    }

    /// The same wait, apart from numbers that move with every look at a gate.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gate { gate, .. }, Self::Gate { gate: other, .. })
            | (Self::Undecided { gate, .. }, Self::Undecided { gate: other, .. }) => gate == other,
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

    /// The same wait without what the provider says.
    fn untroubled(&self) -> Self {
        let mut wait = self.clone();
        if let Self::Healthy { trouble, .. } | Self::Recovering { trouble, .. } = &mut wait {
            *trouble = None;
        }
        wait
    }
}
