//! What a build without the feature `aws` has in place of AWS: an answer that says so.

use std::{collections::BTreeMap, path::PathBuf};

use domain::{
    catalogue::Account,
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{Listed, Running},
    names::AccountName,
    observation::{Observation, Slice},
};
use engine::ports::{ErrorKind, Provider, ProviderError};

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
    pub fn calls(&self, _account: &AccountName) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }
}

impl Aws {
    /// There are none.
    ///
    /// # Errors
    /// Always: there is no AWS.
    pub async fn images(&self, _: &Account) -> Result<Listed, ProviderError> {
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
