//! Releases: immutable, except that they can be withdrawn.

use domain::{
    names::{ServiceName, Version},
    release::{Release, Withdrawal},
};

use crate::{Audit, Store, StoreError};

/// What became of a new release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Created,
    /// The same version with the same content was there already; this is it.
    AlreadyThere(Release),
    /// The same version with other content is there; nothing was changed.
    Conflict(Release),
}

impl Store {
    /// Stores a release.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] service, or when the database fails.
    pub async fn create_release(
        &self,
        release: &Release,
        audit: Audit,
    ) -> Result<Created, StoreError> {
        todo!("{release:?} {audit:?}")
    }

    /// One release.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<Option<Release>, StoreError> {
        todo!("{service} {version}")
    }

    /// The releases of a service, newest first, after (older than) the version `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn releases(
        &self,
        service: &ServiceName,
        after: Option<&Version>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        todo!("{service} {after:?} {limit}")
    }

    /// Takes a release out of use, and returns it. One that is withdrawn already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] release, or when the database fails.
    pub async fn withdraw(
        &self,
        service: &ServiceName,
        version: &Version,
        withdrawal: &Withdrawal,
        audit: Audit,
    ) -> Result<Release, StoreError> {
        todo!("{service} {version} {withdrawal:?} {audit:?}")
    }
}
