//! Locking environments: a person's hold, which governance respects.

use domain::{catalogue::Kind, governance::Lock, names::EnvironmentName};
use serde_json::json;

use super::{Actor, Error, Operations, error::Fault, manifests};

/// Longest reason that somebody gives, in characters.
const REASON_LEN_MAX: usize = 1000;

impl Operations {
    /// Locks an environment; a lock that is there already is replaced.
    ///
    /// # Errors
    /// [`Error::Unknown`] environment; [`Error::Invalid`] reason.
    pub async fn lock(
        &self,
        actor: &Actor,
        environment: &EnvironmentName,
        reason: &str,
    ) -> Result<Lock, Error> {
        let lock = Lock {
            by: actor.name().to_owned(),
            since: self.now(),
            reason: checked_reason(reason)?,
        };
        let subject = manifests::subject(Kind::Environment, environment.as_str());
        let detail = json!({ "reason": lock.reason });
        let audit = self.audit(actor, "environment.lock", &subject, detail);
        self.store().lock(environment, &lock, audit).await?;
        Ok(lock)
    }

    /// Lifts the lock of an environment; one without a lock stays as it is.
    ///
    /// # Errors
    /// [`Error::Unknown`] environment.
    pub async fn unlock(&self, actor: &Actor, environment: &EnvironmentName) -> Result<(), Error> {
        self.entry(Kind::Environment, environment.as_str()).await?;
        let subject = manifests::subject(Kind::Environment, environment.as_str());
        let audit = self.audit(actor, "environment.unlock", &subject, json!({}));
        self.store().unlock(environment, audit).await?;
        Ok(())
    }

    /// The lock of an environment.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lock_of(&self, environment: &EnvironmentName) -> Result<Option<Lock>, Error> {
        Ok(self.store().lock_of(environment).await?)
    }
}

/// A reason in people's words: there is one, and it is short.
pub(super) fn checked_reason(reason: &str) -> Result<String, Error> {
    let reason = reason.trim();
    let message = if reason.is_empty() {
        "say why, in a few words".to_owned()
    } else if reason.chars().count() > REASON_LEN_MAX {
        format!("at most {REASON_LEN_MAX} characters")
    } else {
        return Ok(reason.to_owned());
    };
    Err(Error::Invalid {
        what: "the reason",
        faults: vec![Fault::of("reason", message)],
    })
}
