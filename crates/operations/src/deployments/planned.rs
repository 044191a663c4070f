//! What would be done, as somebody reads it before it begins, and the names of plans.

use domain::{deployment::Deployment, governance::Objection, preview::Preview, release::Digest};
use sha2::{Digest as _, Sha256};

/// A deployment with its plan, and what it is expected to do: one that began, or one that would.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The deployment.
    pub deployment: Deployment,
    /// What it is expected to do.
    pub preview: Preview,
}

impl Planned {
    /// Names what somebody read before there was a deployment: the same for two that differ in nothing but
    /// their ids.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_before(&self.deployment)
    }
}

/// What would become of a wish.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// The deployment as it would begin; `None` when governance says no.
    pub planned: Option<Planned>,
    /// Every reason why governance says no.
    pub objections: Vec<Objection>,
}

/// The SHA-256 of the plan's JSON, in hexadecimal digits: names the plan that somebody read.
#[must_use]
pub fn plan_hash(deployment: &Deployment) -> String {
    digest(plan_json(deployment).as_bytes())
}

/// The same before it begins, when its launch has no id that counts.
pub(super) fn hash_before(deployment: &Deployment) -> String {
    let json = plan_json(deployment).replace(&deployment.launch.id.0, "new");
    digest(json.as_bytes())
}

fn plan_json(deployment: &Deployment) -> String {
    let json = serde_json::to_string(&deployment.plan);
    json.expect("plans have text keys and no failing parts")
}

fn digest(bytes: &[u8]) -> String {
    Digest::from_bytes(Sha256::digest(bytes).into()).to_string()
}
