//! What happened to a deployment: as a list, and as it happens.
//!
//! Invariant: whoever follows reads the store; a hint from the engine of this process only makes it
//! look earlier, and the slow poll finds what engines of other processes did.

use std::{collections::VecDeque, time::Duration};

use domain::{
    event::{Event, What},
    names::DeploymentId,
};
use futures_util::{Stream, stream};

use super::{Error, Operations, Page};
use crate::journal::Watch;

/// How often the store is asked when no hint comes.
const POLL: Duration = Duration::from_secs(2);
/// Events read at once.
const BATCH: u32 = 200;

/// An event with its place in the deployment's list, counted from 1.
pub type Numbered = (i64, Event);

impl Operations {
    /// The events of a deployment after the sequence number `after`.
    ///
    /// # Errors
    /// [`Error::Unknown`] deployment.
    pub async fn events(
        &self,
        id: &DeploymentId,
        after: i64,
        limit: u32,
    ) -> Result<Page<Numbered>, Error> {
        self.deployment(id).await?;
        let fetch = Page::<Numbered>::fetch(limit);
        let events = self.store().events(id, after, fetch).await?;
        Ok(Page::of(events, limit, |(seq, _)| seq.to_string()))
    }

    /// The events of a deployment after the sequence number `after`, as they happen. The stream
    /// ends after the last event of the deployment, or with the first error.
    ///
    /// # Errors
    /// [`Error::Unknown`] deployment.
    pub async fn follow(
        &self,
        id: &DeploymentId,
        after: i64,
    ) -> Result<impl Stream<Item = Result<Numbered, Error>> + Send + 'static, Error> {
        self.deployment(id).await?;
        let follower = Follower {
            operations: self.clone(),
            id: id.clone(),
            after,
            watch: self.changes().watch(),
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(stream::unfold(follower, Follower::next))
    }
}

/// One who follows a deployment.
struct Follower {
    operations: Operations,
    id: DeploymentId,
    after: i64,
    watch: Watch,
    ready: VecDeque<Numbered>,
    ended: bool,
}

impl Follower {
    async fn next(mut self) -> Option<(Result<Numbered, Error>, Self)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.after = event.0;
                self.ended = matches!(event.1.what, What::Finished { .. });
                return Some((Ok(event), self));
            }
            if self.ended {
                return None;
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error), self));
                }
            }
        }
    }

    /// Reads what is new, or waits for a hint; `false` when nothing can come any more.
    async fn read(&mut self) -> Result<bool, Error> {
        let store = self.operations.store();
        self.ready = store.events(&self.id, self.after, BATCH).await?.into();
        if !self.ready.is_empty() {
            return Ok(true);
        }
        // Its last event and its ending are one transaction, so what has ended and shows nothing
        // new now has told everything, unless it ended between the two looks.
        if self.operations.deployment(&self.id).await?.ending.is_some() {
            let last = self.operations.store();
            self.ready = last.events(&self.id, self.after, BATCH).await?.into();
            return Ok(!self.ready.is_empty());
        }
        let _ = tokio::time::timeout(POLL, self.watch.changed(&self.id)).await;
        Ok(true)
    }
}
