//! The engine's journal, with a hint to those who watch a deployment that something was saved.
//!
//! Invariant: a hint carries no data and may be lost; whoever gets one reads the store.

use domain::{
    cloud::Drives, deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs,
};
use engine::ports::{Claims, Journal, JournalError, LeaseSeen, Saved};
use store::Store;
use tokio::sync::broadcast;

/// Hints that are kept for a slow watcher; one that misses some just looks.
const HINTS_KEPT: usize = 1024;

/// Tells watchers in this process which deployments changed.
#[derive(Debug, Clone)]
pub struct Changes(broadcast::Sender<DeploymentId>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(HINTS_KEPT))
    }
}

impl Changes {
    /// Says that a deployment changed.
    pub fn tell(&self, id: &DeploymentId) {
        // Nobody listening is the usual case.
        let _ = self.0.send(id.clone());
    }

    /// Hears of changes from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }
}

/// Hears of changes.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<DeploymentId>);

impl Watch {
    /// Ready when `id` may have changed.
    pub async fn changed(&mut self, id: &DeploymentId) {
        loop {
            match self.0.recv().await {
                Ok(changed) if changed == *id => return,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The other end lives as long as the server; without it, the slow poll remains.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// The store as the engine's journal; tells of each save.
#[derive(Debug, Clone)]
pub struct TellingJournal {
    /// Where records are kept.
    pub store: Store,
    /// Who is told.
    pub changes: Changes,
    /// What this process drives; what lives elsewhere is left to others.
    pub drives: Vec<Drives>,
}

impl Journal for TellingJournal {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        let claimed = self
            .store
            .claim_of(&self.drives, engine, abandoned, now, limit);
        claimed.await
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.store.renew(engine, id, now).await
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        Journal::release(&self.store, engine, id).await
    }

    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        let saved = self.store.save(deployment, events).await?;
        if saved == Saved::Stored && !events.is_empty() {
            self.changes.tell(&deployment.id);
        }
        Ok(saved)
    }
}
