//! Everything that the page of a deployment is made of, read at one moment.

use domain::{
    deployment::Deployment,
    event::{Event, What},
    names::DeploymentId,
    time::UnixMs,
};
use operations::{Desk, Error, events::Numbered, slices::Slices};

use super::charts::{Sample, Samples};
use crate::portal::parts::now;

/// Events read at once.
const BATCH: u32 = 500;
/// Events of one deployment that a page looks through.
const EVENTS_MAX: usize = 5_000;

/// What the page shows.
#[derive(Debug, Clone)]
pub(in crate::portal) struct Seen {
    /// The record.
    pub(in crate::portal) deployment: Deployment,
    /// What happened, oldest first.
    pub(super) events: Vec<Numbered>,
    /// The instances and the routers' counters, while the place is still its own.
    pub(super) slices: Result<Option<Slices>, String>,
    /// What was counted of requests while somebody watched, oldest first.
    pub(super) samples: Vec<Sample>,
    /// When it was read.
    pub(super) now: UnixMs,
}

impl Seen {
    /// Reads it all. Counters that were seen are kept in `samples` for the next who looks.
    ///
    /// # Errors
    /// [`Error::Unknown`] deployment; or the store does not answer.
    pub(in crate::portal) async fn read(
        desk: &Desk,
        id: &DeploymentId,
        samples: &Samples,
    ) -> Result<Self, Error> {
        let deployment = desk.deployment(id).await?;
        let events = events(desk, id).await?;
        let slices = match deployment.ending {
            Some(_) => Ok(None),
            None => match desk.slices(deployment.target.place.clone()).await {
                Ok(slices) => Ok(Some(slices)),
                Err(error) => Err(error.to_string()),
            },
        };
        let now = now();
        if let Ok(Some(slices)) = &slices {
            samples.add(id, Sample::of(slices, now));
        }
        Ok(Self {
            samples: samples.of(id),
            deployment,
            events,
            slices,
            now,
        })
    }

    /// The place of the newest event in the list; 0: there is none.
    pub(in crate::portal) fn last(&self) -> i64 {
        self.events.last().map_or(0, |(seq, _)| *seq)
    }

    /// The events, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().map(|(_, event)| event)
    }

    /// When a step of the present course began, as far as the events tell.
    pub(super) fn began(&self, step: usize) -> Option<UnixMs> {
        let turned = |event: &Event| event.what == What::RollingBack;
        let course = self.newest_first().take_while(|event| !turned(event));
        let mut begun = course.filter(|event| event.what == What::StepStarted { step });
        begun.next().map(|event| event.at)
    }
}

async fn events(desk: &Desk, id: &DeploymentId) -> Result<Vec<Numbered>, Error> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = desk.events(id, after, BATCH - 1).await?;
        all.extend(page.items);
        let next = page.next.and_then(|next| next.parse().ok());
        match next {
            Some(next) if all.len() < EVENTS_MAX => after = next,
            _ => return Ok(all),
        }
    }
}
