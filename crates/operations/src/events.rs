//! What happened to a deployment: as a list, and as it happens.
//!
//! Invariant: whoever follows reads the store; a hint from the engine of this process only makes it
//! look earlier, and the slow poll finds what engines of other processes did.

use std::{collections::VecDeque, time::Duration};

use domain::{
    access::{Resource, Right},
    deployment::Deployment,
    event::{Event, What},
    gate::GateLook,
    names::DeploymentId,
    plan::Step,
    time::UnixMs,
};
use futures_util::{Stream, stream};

use super::{Desk, Error, Operations, PAGE_MAX, Page};
use crate::journal::Watch;

/// How often the store is asked when no hint comes.
const POLL: Duration = Duration::from_secs(2);
/// Events read at once.
const BATCH: u32 = 200;

/// An event with its place in the deployment's list, counted from 1.
pub type Numbered = (i64, Event);

/// One look at one gate, as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// The place of its event in the deployment's list, counted from 1.
    pub seq: i64,
    /// When.
    pub at: UnixMs,
    /// At which step of the way forward.
    pub step: usize,
    /// Users that were meant to be on the new release then, in percent.
    pub percent: u8,
    /// What was seen.
    pub look: GateLook,
}

impl Desk {
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
        let permit = self.may(Right::View, Resource::Deployment(id)).await?;
        permit.deployment(id).await?;
        let fetch = Page::<Numbered>::fetch(limit);
        let events = permit.store().events(id, after, fetch).await?;
        Ok(Page::of(events, limit, |(seq, _)| seq.to_string()))
    }

    /// The looks at the gates of a deployment, oldest first, after the event `after`.
    ///
    /// # Errors
    /// [`Error::Unknown`] deployment.
    pub async fn looks(
        &self,
        id: &DeploymentId,
        after: i64,
        limit: u32,
    ) -> Result<Page<Looked>, Error> {
        let permit = self.may(Right::View, Resource::Deployment(id)).await?;
        let deployment = permit.deployment(id).await?;
        let wanted = usize::try_from(Page::<Looked>::fetch(limit)).unwrap_or(usize::MAX);
        let (mut looks, mut after) = (Vec::new(), after);
        loop {
            let events = permit.store().events(id, after, PAGE_MAX).await?;
            let Some((last, _)) = events.last() else {
                break;
            };
            after = *last;
            looks.extend(events.into_iter().filter_map(|e| looked(&deployment, e)));
            if looks.len() >= wanted {
                break;
            }
        }
        Ok(Page::of(looks, limit, |look| look.seq.to_string()))
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
        let permit = self.may(Right::View, Resource::Deployment(id)).await?;
        permit.deployment(id).await?;
        let follower = Follower {
            operations: Operations::clone(&permit),
            id: id.clone(),
            after,
            watch: permit.changes().watch(),
            ready: VecDeque::new(),
            ended: false,
        };
        Ok(stream::unfold(follower, Follower::next))
    }
}

fn looked(deployment: &Deployment, (seq, event): Numbered) -> Option<Looked> {
    let What::Looked { step, look } = event.what else {
        return None;
    };
    Some(Looked {
        seq,
        at: event.at,
        step,
        percent: share_at(deployment, step),
        look,
    })
}

/// The share of the new release at a step of the way forward, in percent.
fn share_at(deployment: &Deployment, step: usize) -> u8 {
    let before = deployment.plan.steps.iter().take(step).rev();
    let share = before.into_iter().find_map(|step| match step {
        Step::Shift(split) => Some(split.weights.share(deployment.roles.next)),
        _ => None,
    });
    share.unwrap_or(0)
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
