//! The leases that an engine holds, and a provider that asks for them before it changes anything.
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

use crate::ports::{ErrorKind, Provider, ProviderError};

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
