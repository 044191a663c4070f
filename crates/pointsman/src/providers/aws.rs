//! Amazon Web Services as a provider, with the machine's clock.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use domain::{
    catalogue::Account,
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{Listed, Running},
    names::AccountName,
    observation::{Observation, Slice},
};
use engine::ports::{Provider, ProviderError};
use provider_aws::Settings;

use crate::clock::SystemClock;

/// Amazon Web Services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Aws(provider_aws::Aws);

impl Aws {
    /// Nobody is called yet. `packages` holds each package as a file named by its digest.
    #[must_use]
    pub fn new(packages: PathBuf) -> Self {
        let clock = Arc::new(SystemClock);
        Self(provider_aws::Aws::new(clock, Settings::default(), packages))
    }

    /// Calls made to an account since the server began, by operation.
    #[must_use]
    pub fn calls(&self, account: &AccountName) -> BTreeMap<&'static str, u64> {
        self.0.calls(account)
    }
}

impl Aws {
    /// The images of `account`, at most a minute old.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn images(&self, account: &Account) -> Result<Listed, ProviderError> {
        self.0.images(account).await
    }

    /// The images that these slices run on, in the order of the question. All are in `account`.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn running_images(
        &self,
        account: &Account,
        slices: &[(Target, Slice)],
    ) -> Result<Vec<Running>, ProviderError> {
        self.0.running_images(account, slices).await
    }

    /// What CloudWatch says to a gate about `slice`.
    pub async fn cloudwatch(&self, target: &Target, slice: Slice, gate: &CloudWatchGate) -> Said {
        self.0.cloudwatch(target, slice, gate).await
    }
}

impl Provider for Aws {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.0.observe(target).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.0.apply(target, effect, token).await
    }
}
