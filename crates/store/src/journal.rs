//! The engine's journal: claims, leases, and saves that compare before they set.

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};
use engine::ports::{Journal, JournalError, Saved};

use crate::Store;

impl Journal for Store {
    async fn claim(
        &self,
        engine: &str,
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, JournalError> {
        todo!("{engine} {now} {lease_ms} {limit}")
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
        lease_ms: u64,
    ) -> Result<Option<Deployment>, JournalError> {
        todo!("{engine} {id} {now} {lease_ms}")
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        todo!("{engine} {id}")
    }

    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        todo!("{deployment:?} {events:?}")
    }
}
