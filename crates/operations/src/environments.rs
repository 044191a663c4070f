//! Locking environments: a person's hold, which governance respects.

use std::collections::BTreeMap;

use domain::{
    access::{Resource, Right},
    catalogue::Kind,
    governance::Lock,
    names::EnvironmentName,
};
use serde_json::json;

use super::{Desk, Error, error::Fault, manifests};

/// Longest reason that somebody gives, in characters.
const REASON_LEN_MAX: usize = 1000;

impl Desk {
    /// Locks an environment; a lock that is there already is replaced.
    ///
    /// # Errors
    /// [`Error::Unknown`] environment; [`Error::Invalid`] reason.
    pub async fn lock(&self, environment: &EnvironmentName, reason: &str) -> Result<Lock, Error> {
        let permit = self
            .may(Right::Lock, Resource::Environment(environment))
            .await?;
        let lock = Lock {
            by: permit.principal().to_owned(),
            since: permit.now(),
            reason: checked_reason(reason)?,
        };
        let subject = manifests::subject(Kind::Environment, environment.as_str());
        let before = permit.store().lock_of(environment).await?;
        let detail = json!({ "reason": lock.reason, "before": before });
        let audit = permit.audit("environment.lock", &subject, detail);
        permit.store().lock(environment, &lock, audit).await?;
        Ok(lock)
    }

    /// Lifts the lock of an environment; one without a lock stays as it is.
    ///
    /// # Errors
    /// [`Error::Unknown`] environment.
    pub async fn unlock(&self, environment: &EnvironmentName) -> Result<(), Error> {
        let permit = self
            .may(Right::Lock, Resource::Environment(environment))
            .await?;
        permit
            .entry(Kind::Environment, environment.as_str())
            .await?;
        let subject = manifests::subject(Kind::Environment, environment.as_str());
        let before = permit.store().lock_of(environment).await?;
        let audit = permit.audit("environment.unlock", &subject, json!({ "before": before }));
        permit.store().unlock(environment, audit).await?;
        Ok(())
    }

    /// The locks of these environments, as far as there are any, by name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn locks_of(&self, environments: &[&str]) -> Result<BTreeMap<String, Lock>, Error> {
        let seeing = self.may_see(Right::View).await?;
        Ok(seeing.store().locks_of(environments).await?)
    }
}

/// A reason in people's words: there is one, and it is short.
pub(super) fn checked_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    let message = if reason.is_empty() {
        "say why, in a few words".to_owned()
    } else if reason.chars().count() > REASON_LEN_MAX {
        format!("at most {REASON_LEN_MAX} characters")
    } else if reason.chars().any(char::is_control) {
        "write one line, without control characters".to_owned()
    } else {
        return Ok(reason.to_owned());
    };
    Err(Error::Invalid {
        what: "the reason",
        faults: vec![Fault::of("reason", message)],
    })
}
