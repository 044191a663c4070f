//! What waits and failures look like in answers: a stable code, a sentence, who can act, and the
//! fields of that reason.

mod fields;

use domain::{
    deployment::Deployment,
    reason::{Failure, Waiting},
    time::UnixMs,
    versions::Versions,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::time;
use fields::ReasonFields;

/// What a deployment waits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingView {
    /// Stable, for programs: `healthy`, `recovering`, `baking`, `warm`, `gate`, `approval`,
    /// `weights`, `refreshing`, `foreign_refresh`, `draining`, `confirming`, `accepted`, `settling`,
    /// `paused`, `provider`, `database` or `unattended`.
    pub reason: String,
    /// The same for people.
    pub sentence: String,
    /// When the wait began, RFC 3339; null where that is not known.
    pub since: Option<String>,
    /// When the wait ends at the latest, RFC 3339; null where there is no deadline.
    pub until: Option<String>,
    /// What follows at `until`: `goes_on` (to the next step) or `gives_up` (the step fails).
    pub then: Option<String>,
    /// Who can end the wait: `time`, `engine`, `approver`, `operator` or `provider_administrator`.
    pub who_can_act: String,
    /// The fields of this reason.
    #[serde(flatten)]
    pub fields: ReasonFields,
}

/// Why a deployment does not go forward any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Failure)]
pub struct FailureView {
    /// Stable, for programs: `unhealthy`, `not_stable`, `no_room`, `gate`, `gate_open`, `rejected`,
    /// `refresh_ended`, `refresh_late`, `not_shifted`, `not_retired`, `refused`, `budget_spent`,
    /// `aborted`, `rolled_back_by_person` or `stable_lost`.
    pub reason: String,
    /// The same for people.
    pub sentence: String,
    /// Who can remove the cause: `operator`, `owner` or `provider_administrator`.
    pub who_can_act: String,
    /// The fields of this reason.
    #[serde(flatten)]
    pub fields: ReasonFields,
}

impl WaitingView {
    /// What a deployment waits for, if it waits.
    pub fn of_deployment(deployment: &Deployment) -> Option<Self> {
        let (waiting, since) = (deployment.waiting.as_ref()?, deployment.waiting_since());
        Some(Self::of(waiting, since, &deployment.versions()))
    }

    /// A wait that began at `since`.
    pub fn of(waiting: &Waiting, since: Option<UnixMs>, versions: &Versions) -> Self {
        let (until, then) = waiting.until().unzip();
        Self {
            reason: waiting.as_str().to_owned(),
            sentence: waiting.sentence(versions),
            since: since.map(time),
            until: until.map(time),
            then: then.map(|then| then.as_str().to_owned()),
            who_can_act: waiting.who_can_act().to_string(),
            fields: ReasonFields::of_waiting(waiting, versions),
        }
    }
}

impl FailureView {
    /// A failure.
    pub fn of(failure: &Failure, versions: &Versions) -> Self {
        Self {
            reason: failure.as_str().to_owned(),
            sentence: failure.sentence(versions),
            who_can_act: failure.who_can_act().to_string(),
            fields: ReasonFields::of_failure(failure, versions),
        }
    }
}
