//! A cloud in memory, for any kind of provider. It outlives restarts of the server.

use domain::{
    catalogue::Account,
    effect::{Effect, Target, Token},
    image::ImageState,
    observation::Observation,
    release::{Digest, ImageId},
};
use engine::{
    ports::{Provider, ProviderError},
    testing::{
        cloud::Behaviour,
        fleet::{Fleet, QUICK},
    },
};
use operations::{
    clock::SystemClock,
    cloud::{Answered, Cloud},
};

/// The simulated fleet. Releases whose version says `broken` never become healthy.
pub struct Simulated(Fleet<SystemClock>);

impl Default for Simulated {
    fn default() -> Self {
        Self(Fleet::new(SystemClock, QUICK))
    }
}

impl Provider for Simulated {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.0.observe(target).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        if let Effect::SetLaunch {
            launch: Some(launch),
            ..
        } = effect
            && launch.version.as_str().contains("broken")
        {
            self.0.behave(launch.id.clone(), Behaviour::Broken);
        }
        self.0.apply(target, effect, token).await
    }
}

impl Cloud for Simulated {
    fn bring<'a>(&'a self, _: &'a Account, _: &'a Digest) -> Answered<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn image_state<'a>(&'a self, _: &'a Account, _: &'a ImageId) -> Answered<'a, ImageState> {
        Box::pin(async { Ok(ImageState::Available) })
    }
}
