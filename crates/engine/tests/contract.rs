//! The simulated cloud and the journal in memory pass the contracts that they stand in for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Mutex;

use domain::{
    catalogue::{HealthCheck, ServerGroup},
    effect::{Effect, Target, Token},
    names::Place,
    observation::Observation,
    release::{Digest, Launch},
    time::UnixMs,
};
use engine::{
    ports::{ErrorKind, Provider, ProviderError},
    testing::{
        cloud::{Cloud, Lags, TerminationPolicy},
        contract::{ProviderStage, journal_contract, launch, provider_contract},
        journal::MemoryJournal,
        sim::story::Story,
    },
};

/// The model on its own, one tick per moment.
struct Bare(Mutex<(Cloud, UnixMs)>);

impl Provider for Bare {
    async fn observe(&self, _target: &Target) -> Result<Observation, ProviderError> {
        let world = self.0.lock().unwrap();
        Ok(world.0.look(world.1))
    }
    async fn apply(&self, _: &Target, effect: &Effect, _: &Token) -> Result<(), ProviderError> {
        let mut world = self.0.lock().unwrap();
        let now = world.1;
        world
            .0
            .apply(effect, now)
            .map_err(|text| ProviderError::new(ErrorKind::Invalid, text))
    }
}

impl ProviderStage for Bare {
    fn target(&self) -> Target {
        let group = ServerGroup {
            service: "cart".parse().unwrap(),
            environment: "live".parse().unwrap(),
            size: 2,
            autoscaling: None,
            size_limit: None,
            zones: vec!["a".into(), "b".into()],
            slices: 1,
            stickiness: None,
            ignore_paths: Vec::new(),
            gates: Vec::new(),
            health: HealthCheck::default(),
            drain_seconds: 1,
            variables: [].into(),
            limits: Default::default(),
            aws: None,
            custom: None,
        };
        let place = Place {
            service: group.service.clone(),
            environment: group.environment.clone(),
        };
        Target::local(place, group)
    }
    fn launches(&self) -> [Launch; 2] {
        let digest = Digest::from_bytes([1; 32]);
        [
            launch("lt-1", "1.0.0", digest.clone()),
            launch("lt-2", "2.0.0", digest),
        ]
    }
    async fn moment(&self) {
        let mut world = self.0.lock().unwrap();
        world.1 = world.1.plus_ms(500);
        let now = world.1;
        world.0.tick(now);
    }
    fn patience(&self) -> u32 {
        200
    }
}

#[tokio::test]
async fn the_simulated_cloud_passes_the_provider_contract() {
    let lags = Lags {
        boot: 3000,
        boot_spread: 2000,
        react: 1000,
        stop: 2000,
        replace: 2000,
        weights: 1000,
    };
    for policy in [
        TerminationPolicy::OldestInstance,
        TerminationPolicy::NewestInstance,
        TerminationPolicy::OldestLaunch,
        TerminationPolicy::Random,
    ] {
        let cloud = Cloud::new(1, 2, lags, policy, fastrand::Rng::with_seed(7));
        let bare = Bare(Mutex::new((cloud, UnixMs(0))));
        provider_contract(&bare, &bare).await;
    }
}

#[tokio::test]
async fn the_journal_in_memory_passes_the_journal_contract() {
    let journal = MemoryJournal::default();
    let deployment = Story::draw(&mut fastrand::Rng::with_seed(1)).deployment;
    journal.begin(deployment.clone());
    journal_contract(&journal, &deployment).await;
}
