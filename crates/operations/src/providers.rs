//! The providers that this binary knows, behind the engine's two verbs.
//!
//! Invariant: a provider is chosen here and nowhere else, by the account of the target; nothing above
//! this file asks which one it is.

#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "providers/without_aws.rs"]
mod aws;
mod local;

pub use aws::Aws;

use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc};

use domain::{
    catalogue::{Account, Adopted},
    checkup::{Check, Verdict},
    effect::{Effect, Target, Token},
    image::Standing,
    names::{DeploymentId, Place},
    observation::{Observation, Slice},
    release::{Digest, ImageId},
    time::UnixMs,
};
use engine::ports::{ErrorKind, Provider, ProviderError};

use serde_json::Value;

use crate::logs::{Text, Wanted};

/// The providers: one for this machine, one for the accounts elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Providers {
    here: Here,
    aws: Aws,
}

/// What a deployment cost in calls to its provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calls {
    /// For its own requests.
    pub changes: u64,
    /// Its share of the looks that it had in common with others.
    pub looks: f64,
}

/// What runs on this machine.
#[derive(Debug, Clone)]
enum Here {
    /// The one-machine cloud.
    Local(local::Local),
    /// Any other provider, for every place: the simulated one, in tests and benchmarks.
    Other(OtherProvider),
}

impl Provider for Providers {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        match &self.here {
            Here::Other(other) => other.0.observe_boxed(target).await,
            Here::Local(_) if target.group.aws.is_some() => self.aws.observe(target).await,
            Here::Local(local) => local.observe(target).await,
        }
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        match &self.here {
            Here::Other(other) => other.0.apply_boxed(target, effect, token).await,
            Here::Local(_) if target.group.aws.is_some() => {
                self.aws.apply(target, effect, token).await
            }
            Here::Local(local) => local.apply(target, effect, token).await,
        }
    }
}

impl Providers {
    /// A provider that this binary does not know by name.
    pub fn other(provider: impl Provider + 'static) -> Self {
        Self {
            here: Here::Other(OtherProvider(Arc::new(provider))),
            aws: Aws::new(std::env::temp_dir()),
        }
    }

    /// The one-machine cloud with its state in the folder `state`, and AWS. `artifacts` holds each
    /// artifact as a file named by its digest.
    ///
    /// # Errors
    /// When the one-machine cloud cannot be reached or started.
    pub async fn configured(state: PathBuf, artifacts: PathBuf) -> anyhow::Result<Self> {
        let aws = Aws::new(artifacts.clone());
        let here = Here::Local(local::Local::start(state, artifacts).await?);
        Ok(Self { here, aws })
    }

    /// AWS.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// Looks at everything that deployments to these groups of `account` depend on.
    pub async fn checkup(&self, account: &Account, targets: &[Target]) -> Vec<Check> {
        if account.is_aws() {
            return self.aws.checkup(account, targets).await;
        }
        let found = "instances are processes on the server's own machine";
        vec![Check::new("this machine", Verdict::Ok, found)]
    }

    /// Whether machines can be started from `image` in `account`; `None` where nobody can say.
    ///
    /// # Errors
    /// When the provider does not answer.
    pub async fn image_standing(
        &self,
        account: &Account,
        image: &ImageId,
    ) -> Result<Option<Standing>, ProviderError> {
        match &self.here {
            Here::Local(_) if account.is_aws() => {
                self.aws.image_standing(account, image).await.map(Some)
            }
            Here::Local(_) | Here::Other(_) => Ok(None),
        }
    }

    /// Brings a package to where machines of `account` fetch it.
    ///
    /// # Errors
    /// When the provider does not answer, or does not take it.
    pub async fn bring(&self, account: &Account, digest: &Digest) -> Result<(), ProviderError> {
        match &self.here {
            Here::Local(_) if account.is_aws() => self.aws.bring(account, digest).await,
            Here::Local(_) | Here::Other(_) => Ok(()),
        }
    }

    /// The least that Pointsman needs in `account`.
    ///
    /// # Errors
    /// Where there are no permissions to give.
    pub fn policy(&self, account: &Account) -> Result<Value, ProviderError> {
        on_aws(account)?;
        self.aws.policy(account)
    }

    /// The manifest of a server group at `place` that is these groups of `account`.
    ///
    /// # Errors
    /// Where there are no such groups, or the provider does not answer.
    pub async fn import(
        &self,
        account: &Account,
        place: &Place,
        groups: &[String],
    ) -> Result<Adopted, ProviderError> {
        on_aws(account)?;
        self.aws.import(account, place, groups).await
    }

    /// What `deployment` cost in calls so far, where the provider counts them and still knows.
    #[must_use]
    pub fn calls(&self, target: &Target, deployment: &DeploymentId) -> Option<Calls> {
        self.aws.calls(target, deployment)
    }

    /// Where users reach a service, if the provider knows.
    #[must_use]
    pub fn url(&self, target: &Target) -> Option<String> {
        Some(self.local(target)?.url(&target.place))
    }

    /// Words that let a tester into one slice, and when they end.
    ///
    /// # Errors
    /// When the provider gives none, or does not answer.
    pub async fn pass(
        &self,
        target: &Target,
        slice: Slice,
        seconds: u32,
    ) -> Result<(String, UnixMs), ProviderError> {
        let local = self.local(target).ok_or_else(|| {
            ProviderError::new(ErrorKind::Missing, "the routers there know no passes")
        })?;
        local.pass(&target.place, slice, seconds).await
    }

    /// Logs of the instances.
    ///
    /// # Errors
    /// When the provider keeps none, or does not answer.
    pub async fn logs(&self, target: &Target, wanted: Wanted) -> Result<Text, ProviderError> {
        let local = self
            .local(target)
            .ok_or_else(|| ProviderError::new(ErrorKind::Missing, "no logs are kept there"))?;
        local.logs(&target.place, wanted).await
    }

    /// The cloud on this machine, where `target` is in it.
    fn local(&self, target: &Target) -> Option<&local::Local> {
        match &self.here {
            Here::Local(local) if target.group.aws.is_none() => Some(local),
            Here::Local(_) | Here::Other(_) => None,
        }
    }
}

fn on_aws(account: &Account) -> Result<(), ProviderError> {
    if account.is_aws() {
        return Ok(());
    }
    let name = &account.name;
    let message = format!("the account {name} is on this machine, not on AWS");
    Err(ProviderError::new(ErrorKind::Invalid, message))
}

/// A provider that is known only by its two verbs.
#[derive(Clone)]
pub struct OtherProvider(Arc<dyn BoxedProvider>);

impl fmt::Debug for OtherProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtherProvider(..)")
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// [`Provider`] with boxed futures, so that it can be kept behind a pointer.
trait BoxedProvider: Send + Sync {
    fn observe_boxed<'a>(&'a self, target: &'a Target) -> Boxed<'a, Observation>;
    fn apply_boxed<'a>(
        &'a self,
        target: &'a Target,
        effect: &'a Effect,
        token: &'a Token,
    ) -> Boxed<'a, ()>;
}

impl<P: Provider> BoxedProvider for P {
    fn observe_boxed<'a>(&'a self, target: &'a Target) -> Boxed<'a, Observation> {
        Box::pin(self.observe(target))
    }
    fn apply_boxed<'a>(
        &'a self,
        target: &'a Target,
        effect: &'a Effect,
        token: &'a Token,
    ) -> Boxed<'a, ()> {
        Box::pin(self.apply(target, effect, token))
    }
}
