//! What a build without the feature `aws` has in place of AWS: an answer that says so.

use std::path::PathBuf;

use domain::{
    catalogue::{Account, Adopted},
    checkup::{Check, Verdict},
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{Listed, Running, Standing},
    names::{DeploymentId, Place},
    observation::{Observation, Slice},
    release::{Digest, ImageId},
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use serde_json::Value;

use super::Calls;

/// No AWS.
#[derive(Debug, Clone)]
pub struct Aws;

impl Aws {
    /// There is nothing to keep packages for.
    #[must_use]
    pub fn new(_packages: PathBuf) -> Self {
        Self
    }

    /// Nobody was ever called.
    #[must_use]
    pub fn calls(&self, _: &Target, _: &DeploymentId) -> Option<Calls> {
        None
    }

    /// There are none.
    ///
    /// # Errors
    /// Always: there is no AWS.
    pub async fn images(&self, _: &Account) -> Result<Listed, ProviderError> {
        Err(absent())
    }

    /// Nothing can be brought there.
    ///
    /// # Errors
    /// Always: there is no AWS.
    pub async fn bring(&self, _: &Account, _: &Digest) -> Result<(), ProviderError> {
        Err(absent())
    }

    /// Nothing is known.
    ///
    /// # Errors
    /// Always: there is no AWS.
    pub async fn image_standing(
        &self,
        _: &Account,
        _: &ImageId,
    ) -> Result<Standing, ProviderError> {
        Err(absent())
    }

    /// There are none.
    ///
    /// # Errors
    /// Always: there is no AWS.
    pub async fn running_images(
        &self,
        _: &Account,
        _: &[(Target, Slice)],
    ) -> Result<Vec<Running>, ProviderError> {
        Err(absent())
    }

    /// Nothing is known.
    pub async fn cloudwatch(&self, _: &Target, _: Slice, _: &CloudWatchGate) -> Said {
        Said::Nothing {
            text: absent().message,
        }
    }

    /// One check, which says that there is no AWS here.
    pub async fn checkup(&self, _: &Account, _: &[Target]) -> Vec<Check> {
        vec![Check::new("account", Verdict::Failed, absent().message)]
    }

    /// Nothing is known.
    ///
    /// # Errors
    /// Always.
    pub fn policy(&self, _: &Account) -> Result<Value, ProviderError> {
        Err(absent())
    }

    /// Nothing can be read.
    ///
    /// # Errors
    /// Always.
    pub async fn import(
        &self,
        _: &Account,
        _: &Place,
        _: &[String],
    ) -> Result<Adopted, ProviderError> {
        Err(absent())
    }
}

impl Provider for Aws {
    async fn observe(&self, _target: &Target) -> Result<Observation, ProviderError> {
        Err(absent())
    }

    async fn apply(
        &self,
        _target: &Target,
        _effect: &Effect,
        _token: &Token,
    ) -> Result<(), ProviderError> {
        Err(absent())
    }
}

fn absent() -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        "this build of pointsman knows no AWS; build it with `cargo build --release --features aws`",
    )
}
