//! The journal in the simulation.

use std::{
    future::{Future, pending},
    sync::Arc,
};

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};

use super::{Fate, Moment, Shared, SimWorld};
use crate::ports::{Claims, Journal, JournalError, LeaseSeen, Saved};

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
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        self.call(self.shared.journal.claim(engine, abandoned, now, limit))
            .await
    }
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        self.call(self.shared.journal.renew(engine, id, now)).await
    }
    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.call(self.shared.journal.release(engine, id)).await
    }
    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        self.call(self.shared.journal.save(deployment, events))
            .await
    }
}
