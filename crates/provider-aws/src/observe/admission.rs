//! What stands in the way of a deployment and costs calls of its own to see.
//!
//! Invariant: only who wants to begin something waits for it and fails with it. Looks that drive
//! deployments are over before it is asked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{
    names::Place,
    observation::{Observation, Slice},
    time::UnixMs,
};
use engine::ports::ProviderError;
use tokio::sync::Semaphore;

use crate::{
    calls::clients::Clients,
    observe::obstacles::{self, Costly},
    resources::{groups::Group, quotas::Quotas, target_health::Born},
};

/// So long what was seen is believed, in milliseconds: somebody may be at work on what is in the way.
const FRESH_MS: u64 = 10_000;
/// So many places are asked about at once: the tokens for calls are everybody's.
const AT_ONCE: usize = 2;
/// Nobody waits longer for a warning.
const WARNINGS_MAX: Duration = Duration::from_secs(3);

/// The group of a slice, as a look showed it.
#[derive(Debug)]
pub struct Here {
    /// Which slice.
    pub slice: Slice,
    /// Its group.
    pub group: Group,
    /// What is known of its members.
    pub machines: Vec<Born>,
}

/// What was seen last. All of it can be lost.
#[derive(Debug)]
pub struct Admissions {
    known: Mutex<BTreeMap<Place, (UnixMs, Costly)>>,
    quotas: Quotas,
    turns: Semaphore,
}

impl Default for Admissions {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            quotas: Quotas::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl Admissions {
    /// What stands in the way at `place`, if that was seen a moment before `now`.
    pub fn known(&self, place: &Place, now: UnixMs) -> Option<Costly> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (seen_at, _)| now.since_ms(*seen_at) < FRESH_MS);
        known.get(place).map(|(_, costly)| costly.clone())
    }

    /// Adds to `seen` what stands in the way at `place`.
    ///
    /// # Errors
    /// When AWS does not say whether somebody else is at work there.
    pub async fn complete(
        &self,
        clients: &Clients,
        place: &Place,
        here: &[Here],
        seen: &mut Observation,
        now: UnixMs,
    ) -> Result<(), ProviderError> {
        let turn = self.turns.acquire().await;
        let costly = match self.known(place, now) {
            Some(costly) => costly,
            None => {
                let costly = self.look(clients, here, now).await?;
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(place.clone(), (now, costly.clone()));
                costly
            }
        };
        drop(turn);
        for (slice, found) in costly {
            if let Some(shown) = seen.slices.get_mut(&slice) {
                shown.obstacles.extend(found.obstacles);
                shown.warnings.extend(found.warnings);
                shown.room = found.room;
            }
        }
        Ok(())
    }

    async fn look(
        &self,
        clients: &Clients,
        here: &[Here],
        now: UnixMs,
    ) -> Result<Costly, ProviderError> {
        let groups = here.iter().map(|it| (it.slice, &it.group));
        let mut costly = obstacles::look(clients, groups).await?;
        for it in here {
            let machines: Vec<&Born> = it.machines.iter().collect();
            let name = &it.group.name;
            let warnings = self.quotas.warnings(clients, name, &machines, now);
            let warnings = tokio::time::timeout(WARNINGS_MAX, warnings).await;
            let found = costly.entry(it.slice).or_default();
            found.warnings.extend(warnings.unwrap_or_default());
        }
        Ok(costly)
    }
}
