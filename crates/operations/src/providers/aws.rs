//! Amazon Web Services as a provider, with the machine's clock.

use std::{path::PathBuf, sync::Arc};

use domain::{
    catalogue::{Account, Adopted},
    checkup::Check,
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{Listed, Running, Standing},
    names::{DeploymentId, Place},
    observation::{Observation, Slice},
    release::{Digest, ImageId},
};
use engine::ports::{Provider, ProviderError};
use provider_aws::Settings;
use serde_json::Value;

use super::Calls;

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

    /// What `deployment` cost in calls so far, where it is known.
    #[must_use]
    pub fn calls(&self, target: &Target, deployment: &DeploymentId) -> Option<Calls> {
        let account = target.account.as_ref()?;
        let spent = self.0.spent(&account.name, &target.place, deployment)?;
        Some(Calls {
            changes: spent.changes,
            looks: spent.looks,
        })
    }

    /// The images of `account`, at most a minute old.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn images(&self, account: &Account) -> Result<Listed, ProviderError> {
        Box::pin(self.0.images(account)).await
    }

    /// Brings a package to the bucket of `account`.
    ///
    /// # Errors
    /// When AWS does not answer, or does not take it.
    pub async fn bring(&self, account: &Account, digest: &Digest) -> Result<(), ProviderError> {
        Box::pin(self.0.bring(account, digest)).await
    }

    /// Whether machines can be started from `image` in `account`.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn image_standing(
        &self,
        account: &Account,
        image: &ImageId,
    ) -> Result<Standing, ProviderError> {
        Box::pin(self.0.image_standing(account, image)).await
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
        Box::pin(self.0.running_images(account, slices)).await
    }

    /// What CloudWatch says to a gate about `slice`.
    pub async fn cloudwatch(&self, target: &Target, slice: Slice, gate: &CloudWatchGate) -> Said {
        Box::pin(self.0.cloudwatch(target, slice, gate)).await
    }

    /// Looks at everything that deployments to these groups of `account` depend on.
    pub async fn checkup(&self, account: &Account, targets: &[Target]) -> Vec<Check> {
        Box::pin(self.0.checkup(account, targets)).await
    }

    /// The least that Pointsman needs in `account`, as an IAM policy.
    ///
    /// # Errors
    /// Never, in this build.
    pub fn policy(&self, account: &Account) -> Result<Value, ProviderError> {
        Ok(provider_aws::Aws::policy(account))
    }

    /// The manifest of a server group at `place` that is these Auto Scaling groups of `account`.
    ///
    /// # Errors
    /// When one of them does not exist, or AWS does not answer.
    pub async fn import(
        &self,
        account: &Account,
        place: &Place,
        groups: &[String],
    ) -> Result<Adopted, ProviderError> {
        Box::pin(self.0.import(account, place, groups)).await
    }
}

impl Provider for Aws {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        // Boxed: the SDK's futures are deep.
        Box::pin(self.0.observe(target)).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        Box::pin(self.0.apply(target, effect, token)).await
    }
}
