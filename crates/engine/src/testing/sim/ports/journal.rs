//! The journal in the simulation.

use std::{
    future::{Future, pending},
    sync::Arc,
};

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};

use super::{Fate, Moment, Shared, SimWorld};
use crate::ports::{Journal, JournalError, Saved};

/// The journal, as one engine reaches it.
#[derive(Debug)]
pub struct SimJournal {
    pub(in crate::testing::sim) shared: Arc<Shared>,
    pub(in crate::testing::sim) engine: usize,
}

impl SimJournal {
    /// A call to the journal that may fail before or after it took effect.
    async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let fail = |message: &str| JournalError {
            message: message.to_owned(),
        };
        Moment(false).await;
        match self.shared.with(SimWorld::journal_fate) {
            Fate::Fine => work.await,
            Fate::DiesBefore => self.die().await,
            Fate::DiesAfter => {
                drop(work.await);
                self.die().await
            }
            Fate::ReplyLost => {
                drop(work.await);
                Err(fail("the journal's reply was lost"))
            }
            Fate::Lost | Fate::Throttled | Fate::Denied => Err(fail("the journal did not answer")),
        }
    }

    async fn die<T>(&self) -> T {
        self.shared.with(|world| world.crashed.insert(self.engine));
        pending().await
    }
}

impl Journal for SimJournal {
    async fn claim(
        &self,
        engine: &str,
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, JournalError> {
        self.call(self.shared.journal.claim(engine, now, lease_ms, limit))
            .await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
        lease_ms: u64,
    ) -> Result<Option<Deployment>, JournalError> {
        self.call(self.shared.journal.renew(engine, id, now, lease_ms))
            .await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.call(self.shared.journal.release(engine, id)).await
    }
    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        self.call(self.shared.journal.save(deployment, events))
            .await
    }
}
