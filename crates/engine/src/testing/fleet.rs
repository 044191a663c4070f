//! Many simulated server groups in real time: a provider for tests and benchmarks of whole servers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{
    effect::{Effect, Target, Token},
    names::Place,
    observation::{Observation, SliceSeen},
    release::LaunchId,
};
use fastrand::Rng;

use super::cloud::{Behaviour, Cloud, Lags, TerminationPolicy};
use crate::ports::{Clock, ErrorKind, Provider, ProviderError};

/// Simulated server groups, one for each place that is asked about.
#[derive(Debug)]
pub struct Fleet<C> {
    clock: C,
    lags: Lags,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<Place, Cloud>,
    behaviours: Vec<(LaunchId, Behaviour)>,
    calls: u64,
}

/// Lags of a cloud that is as quick as local processes.
pub const QUICK: Lags = Lags {
    boot: 50,
    boot_spread: 20,
    react: 0,
    stop: 20,
    replace: 50,
    weights: 0,
};

impl<C: Clock> Fleet<C> {
    /// A fleet without any instance.
    #[must_use]
    pub fn new(clock: C, lags: Lags) -> Self {
        Self {
            clock,
            lags,
            state: Mutex::default(),
        }
    }

    /// How instances of `launch` will behave; good ones need not be named.
    pub fn behave(&self, launch: LaunchId, behaviour: Behaviour) {
        self.state().behaviours.push((launch, behaviour));
    }

    /// Calls made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Works on one group, brought up to now.
    fn with<T>(&self, target: &Target, work: impl FnOnce(&mut Cloud) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state();
        state.calls += 1;
        let behaviours = state.behaviours.clone();
        let slices = target.group.slices;
        let (lags, policy) = (self.lags, TerminationPolicy::Random);
        let cloud = state
            .groups
            .entry(target.place.clone())
            .or_insert_with(|| Cloud::new(slices, 3, lags, policy, Rng::with_seed(7)));
        for (launch, behaviour) in &behaviours {
            cloud.behave(launch, *behaviour);
        }
        cloud.tick(now);
        work(cloud)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock> Provider for Fleet<C> {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let now = self.clock.now();
        let mut seen = self.with(target, |cloud| cloud.look(now));
        seen.slices
            .retain(|_, slice| *slice != SliceSeen::default());
        Ok(seen)
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        _token: &Token,
    ) -> Result<(), ProviderError> {
        let now = self.clock.now();
        self.with(target, |cloud| cloud.apply(effect, now))
            .map_err(|message| ProviderError::new(ErrorKind::Invalid, message))
    }
}
