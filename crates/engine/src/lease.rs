//! The leases that an engine holds, a provider that asks for them before it changes anything, and the
//! leases of all as the engine saw them.
//!
//! Who died is told by the engine's own steady clock: a lease whose beats stood still for as long as
//! leases last has nobody behind it. What anybody's wall clock shows plays no part.
//!
//! Invariant: nothing is changed for a deployment whose lease was not confirmed for longer than
//! `certain`. A process that was frozen may have lost it meanwhile, and somebody else acts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{
    effect::{Effect, Target, Token},
    names::DeploymentId,
    observation::Observation,
};
use tokio::time::Instant;

use crate::ports::{ErrorKind, LeaseSeen, Provider, ProviderError};

/// When each lease was confirmed last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases(Arc<Mutex<BTreeMap<DeploymentId, Instant>>>);

/// A deployment that is driven; until this value is dropped, also by a panic.
#[derive(Debug)]
pub(crate) struct Hold {
    leases: Leases,
    id: DeploymentId,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.leases.known().remove(&self.id);
    }
}

impl Leases {
    /// A deployment was claimed, as of `at`; `None` when it is driven here already.
    pub(crate) fn hold(&self, id: &DeploymentId, at: Instant) -> Option<Hold> {
        let before = self.known().insert(id.clone(), at);
        before.is_none().then(|| Hold {
            leases: self.clone(),
            id: id.clone(),
        })
    }

    /// The journal says that it is still held, as of `at`.
    pub(crate) fn confirm(&self, id: &DeploymentId, at: Instant) {
        if let Some(confirmed) = self.known().get_mut(id) {
            *confirmed = at;
        }
    }

    fn is_certain(&self, id: &DeploymentId, certain: Duration) -> bool {
        let known = self.known();
        known.get(id).is_some_and(|at| at.elapsed() <= certain)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Since when each lease in the journal stands still, by the clock of who looks.
#[derive(Debug, Default)]
pub(crate) struct Sightings(BTreeMap<DeploymentId, Sighting>);

/// The beat of a lease, and when it was seen first, in milliseconds of a steady clock.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    beat: u64,
    since_ms: u64,
}

impl Sightings {
    /// Takes note of the leases as they are at `now_ms`; those that are not held any more are forgotten.
    pub(crate) fn note(&mut self, held: Vec<LeaseSeen>, now_ms: u64) {
        let before = std::mem::take(&mut self.0);
        let sighted = held.into_iter().map(|seen| {
            let first = Sighting {
                beat: seen.beat,
                since_ms: now_ms,
            };
            let known = before.get(&seen.deployment).copied();
            let same = known.filter(|known| known.beat == seen.beat);
            (seen.deployment, same.unwrap_or(first))
        });
        self.0 = sighted.collect();
    }

    /// The leases that stood still for at least `lease_ms` milliseconds at `now_ms`.
    pub(crate) fn abandoned(&self, now_ms: u64, lease_ms: u64) -> Vec<LeaseSeen> {
        let still = self
            .0
            .iter()
            .filter(|(_, sighting)| now_ms.saturating_sub(sighting.since_ms) >= lease_ms);
        still
            .map(|(deployment, sighting)| LeaseSeen {
                deployment: deployment.clone(),
                beat: sighting.beat,
            })
            .collect()
    }
}

/// A provider that changes nothing without a lease.
#[derive(Debug)]
pub(crate) struct Held<P> {
    pub(crate) provider: P,
    pub(crate) leases: Leases,
    pub(crate) certain: Duration,
}

impl<P: Provider> Provider for Held<P> {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.provider.observe(target).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        if !self.leases.is_certain(&token.deployment, self.certain) {
            return Err(ProviderError::new(
                ErrorKind::Superseded,
                "the lease on the deployment was not confirmed for too long",
            ));
        }
        self.provider.apply(target, effect, token).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_stands_still_for_long_enough_is_abandoned() {
        let seen = |id: &str, beat| LeaseSeen {
            deployment: DeploymentId(id.to_owned()),
            beat,
        };
        let mut sightings = Sightings::default();
        sightings.note(vec![seen("alive", 7), seen("dead", 3)], 1000);
        assert_eq!(sightings.abandoned(8999, 8000), Vec::new());
        sightings.note(vec![seen("alive", 8), seen("dead", 3)], 8999);
        assert_eq!(sightings.abandoned(9000, 8000), vec![seen("dead", 3)]);
        sightings.note(vec![seen("alive", 8), seen("dead", 4)], 9000);
        assert_eq!(
            sightings.abandoned(16_998, 8000),
            Vec::new(),
            "somebody was faster"
        );
        sightings.note(vec![seen("alive", 8)], 16_999);
        assert_eq!(sightings.abandoned(30_000, 8000), vec![seen("alive", 8)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_counts_while_it_was_confirmed_a_moment_ago() {
        let (leases, id) = (Leases::default(), DeploymentId("d1".to_owned()));
        let certain = Duration::from_secs(4);
        assert!(!leases.is_certain(&id, certain), "it was never claimed");
        let hold = leases.hold(&id, Instant::now());
        assert!(hold.is_some() && leases.hold(&id, Instant::now()).is_none());
        assert!(leases.is_certain(&id, certain));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(
            !leases.is_certain(&id, certain),
            "somebody else may act by now"
        );
        leases.confirm(&id, Instant::now());
        assert!(leases.is_certain(&id, certain));
        drop(hold);
        leases.confirm(&id, Instant::now());
        assert!(
            !leases.is_certain(&id, certain),
            "it is not driven any more"
        );
    }
}
