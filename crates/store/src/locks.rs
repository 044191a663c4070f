//! A person's hold on an environment.

use domain::{governance::Lock, names::EnvironmentName};

use crate::{Audit, Store, StoreError};

impl Store {
    /// Locks an environment, and returns the lock that was there before and is replaced.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] environment, or when the database fails.
    pub async fn lock(
        &self,
        environment: &EnvironmentName,
        lock: &Lock,
        audit: Audit,
    ) -> Result<Option<Lock>, StoreError> {
        todo!("{environment} {lock:?} {audit:?}")
    }

    /// Lifts the lock, and returns it; `None` (and no audit event) when there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unlock(
        &self,
        environment: &EnvironmentName,
        audit: Audit,
    ) -> Result<Option<Lock>, StoreError> {
        todo!("{environment} {audit:?}")
    }

    /// The lock of an environment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_of(&self, environment: &EnvironmentName) -> Result<Option<Lock>, StoreError> {
        todo!("{environment}")
    }
}
