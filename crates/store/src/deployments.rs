//! Deployments as operations see them: what governance looks at, how one begins, and reading them.
//!
//! Invariant: a deployment begins only for an `Admitted`, and the facts are looked at again in the
//! transaction that begins it.

use domain::{
    deployment::Deployment,
    event::Event,
    governance::{Admitted, Facts, Wish},
    names::{DeploymentId, EnvironmentName, Place, ServiceName},
    release::Launch,
    time::UnixMs,
};

use crate::{Audit, Store, StoreError};

/// Largest record of a deployment, in bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Largest event, in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// What is live at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which service, where.
    pub place: Place,
    /// What its instances were started from.
    pub launch: Launch,
    /// Since when.
    pub since: UnixMs,
    /// The deployment that made it live.
    pub deployment: DeploymentId,
    /// What was live before.
    pub previous: Option<Launch>,
}

/// Which deployments are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only in this environment.
    pub environment: Option<EnvironmentName>,
    /// Only those that have not ended.
    pub unfinished: bool,
}

/// Which live releases are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveFilter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only in this environment.
    pub environment: Option<EnvironmentName>,
}

impl Store {
    /// All that governance looks at, of one moment, except for `artifact` and `current`, which the
    /// store does not know.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(&self, wish: &Wish) -> Result<Facts, StoreError> {
        todo!("{wish:?}")
    }

    /// What is live at a place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live(&self, place: &Place) -> Result<Option<Live>, StoreError> {
        todo!("{place}")
    }

    /// What is live at many places, in the order of (environment, service), after `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lives(
        &self,
        filter: &LiveFilter,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Vec<Live>, StoreError> {
        todo!("{filter:?} {after:?} {limit}")
    }

    /// Begins a deployment. The facts are read again in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRunning`]; [`StoreError::Refused`] when governance says no by now;
    /// [`StoreError::Superseded`] when the server group or the live release is another by now;
    /// [`StoreError::Invalid`] when `deployment` is not what was admitted; or when the database
    /// fails.
    pub async fn begin(
        &self,
        admitted: &Admitted,
        deployment: &Deployment,
        event: &Event,
        audit: Audit,
    ) -> Result<(), StoreError> {
        todo!("{admitted:?} {deployment:?} {event:?} {audit:?}")
    }

    /// Stores a deployment after a person's command, provided that the stored version is
    /// `deployment.version - 1`.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when the engine or somebody else was faster: read it again and
    /// give the command anew. [`StoreError::Unknown`], or when the database fails.
    pub async fn command(
        &self,
        deployment: &Deployment,
        events: &[Event],
        audit: Audit,
    ) -> Result<(), StoreError> {
        todo!("{deployment:?} {events:?} {audit:?}")
    }

    /// One deployment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Option<Deployment>, StoreError> {
        todo!("{id}")
    }

    /// Deployments, newest first, older than `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployments(
        &self,
        filter: &Filter,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<Deployment>, StoreError> {
        todo!("{filter:?} {before:?} {limit}")
    }

    /// The events of a deployment after the sequence number `after_seq` (they count from 1).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(
        &self,
        id: &DeploymentId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Event)>, StoreError> {
        todo!("{id} {after_seq} {limit}")
    }

    /// How long the first fill took in the last deployment there that succeeded, in milliseconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_fill_ms(&self, place: &Place) -> Result<Option<u64>, StoreError> {
        todo!("{place}")
    }
}
