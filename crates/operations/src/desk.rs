//! The desk: operations as one principal sees them. Every use case is a method of [`Desk`] and begins
//! with its permission check.
//!
//! ```text
//! door --principal--> Operations::desk --> Desk::may(right, resource) --> Permit --> store, clouds, audit
//! ```
//!
//! Invariant: a [`Desk`] reaches nothing but through the permit that `Desk::may` returns, and an
//! audit event is made from a permit alone. So no use case compiles without its check:
//!
//! ```compile_fail,E0616
//! async fn unchecked(desk: &operations::Desk) {
//!     let _ = desk.operations.health().await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! async fn unchecked(desk: &operations::Desk) {
//!     let _ = desk.health().await;
//! }
//! ```

use std::ops::Deref;

use domain::access::{self, Allowed, Principal, Resource, Right};
use serde_json::Value;
use store::Audit;

use crate::{Error, Operations};

/// Operations as one principal sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    operations: Operations,
    principal: Principal,
}

impl Desk {
    pub(super) fn new(operations: Operations, principal: Principal) -> Self {
        Self {
            operations,
            principal,
        }
    }

    /// Who sits at it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the principal may use `right` on `resource`: what [`Error::Denied`] would say, without
    /// trying. Faces ask it to show only what can be done.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn can(&self, right: Right, resource: Resource<'_>) -> Result<bool, Error> {
        match self.may(right, resource).await {
            Ok(_) => Ok(true),
            Err(Error::Denied(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Checks that the principal may use `right` on `resource`, as both are stored now.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub(crate) async fn may(&self, right: Right, resource: Resource<'_>) -> Result<Permit, Error> {
        let store = self.operations.store();
        let facts = store.access(&self.principal, resource).await?;
        let now = self.operations.now();
        let allowed = access::may(&self.principal, right, resource, &facts, now)?;
        Ok(Permit {
            operations: self.operations.clone(),
            allowed,
        })
    }

    /// What belongs to the principal alone needs no right.
    pub(crate) fn own(&self) -> &Operations {
        &self.operations
    }
}

/// A permission that was checked, and with it the way to everything else.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    operations: Operations,
    allowed: Allowed,
}

impl Permit {
    /// Who may.
    pub(crate) fn principal(&self) -> &str {
        self.allowed.principal().name()
    }

    /// The audit event of what is done now.
    pub(crate) fn audit(&self, action: &str, subject: &str, detail: Value) -> Audit {
        Audit::of(&self.allowed, action, subject, detail, self.now())
    }
}

impl Deref for Permit {
    type Target = Operations;
    fn deref(&self) -> &Operations {
        &self.operations
    }
}
