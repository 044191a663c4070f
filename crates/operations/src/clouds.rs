//! Every cloud of this process, by kind of provider, behind one door.
//!
//! Invariant: whoever asks a provider, the engine or a person, comes through [`Clouds::call`]; errors are
//! counted there, and only there it is decided who answers.

use std::{collections::BTreeMap, fmt, sync::Arc};

use domain::{
    catalogue::ProviderKind,
    effect::{Effect, Target, Token},
    names::DeploymentId,
    observation::Observation,
};
use engine::ports::{ErrorKind, Provider, ProviderError};

use crate::{
    cloud::{Answered, Calls, Cloud},
    metrics::Metrics,
    packages::Packages,
};

/// Every cloud of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Clouds {
    by_kind: BTreeMap<ProviderKind, Arc<dyn Cloud>>,
    metrics: Metrics,
    packages: Option<Packages>,
}

impl fmt::Debug for Clouds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_kind.keys()).finish()
    }
}

impl Clouds {
    /// Lets `cloud` answer for everything of this kind of provider.
    pub fn insert(&mut self, kind: ProviderKind, cloud: Arc<dyn Cloud>) {
        self.by_kind.insert(kind, cloud);
    }

    /// The same clouds, with their errors counted in `metrics`.
    #[must_use]
    pub fn counted(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The same clouds; what they start is brought to this machine before, from `packages`.
    #[must_use]
    pub fn supplied(self, packages: Packages) -> Self {
        Self {
            packages: Some(packages),
            ..self
        }
    }

    /// The kinds of providers that are reached from here.
    #[must_use]
    pub fn kinds(&self) -> Vec<ProviderKind> {
        self.by_kind.keys().copied().collect()
    }

    /// Another server may have received the package of what `effect` starts.
    async fn supply(&self, effect: &Effect) -> Result<(), ProviderError> {
        let launch = match effect {
            Effect::SetLaunch { launch, .. } => launch.as_ref(),
            Effect::StartRefresh { launch, .. } => Some(launch),
            _ => None,
        };
        let digest = launch.and_then(|launch| launch.content.digest());
        let (Some(packages), Some(digest)) = (&self.packages, digest) else {
            return Ok(());
        };
        let brought = packages.bring_here(digest).await;
        brought.map_err(|error| ProviderError::new(ErrorKind::Unavailable, error.to_string()))
    }

    /// Asks the cloud of this kind.
    ///
    /// # Errors
    /// When there is none, or what it answers.
    pub async fn call<'a, T>(
        &'a self,
        kind: ProviderKind,
        verb: impl FnOnce(&'a dyn Cloud) -> Answered<'a, T>,
    ) -> Result<T, ProviderError> {
        let answer = match self.by_kind.get(&kind) {
            Some(cloud) => verb(&**cloud).await,
            None => Err(absent(kind)),
        };
        if let Err(error) = &answer {
            self.metrics.provider_failed(error.kind);
        }
        answer
    }

    /// Where users reach a service, if its cloud knows.
    #[must_use]
    pub fn url(&self, target: &Target) -> Option<String> {
        self.by_kind.get(&of(target))?.url(target)
    }

    /// What `deployment` cost in calls so far, where its cloud counts them and still knows.
    #[must_use]
    pub fn calls(&self, target: &Target, deployment: &DeploymentId) -> Option<Calls> {
        self.by_kind.get(&of(target))?.calls(target, deployment)
    }
}

impl Provider for Clouds {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.call(of(target), |cloud| cloud.observe_boxed(target))
            .await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        self.supply(effect).await?;
        self.call(of(target), |cloud| cloud.apply_boxed(target, effect, token))
            .await
    }
}

fn of(target: &Target) -> ProviderKind {
    target.group.home().provider()
}

/// What this process answers for a kind of provider that it was not built or started with.
fn absent(kind: ProviderKind) -> ProviderError {
    let message = match kind {
        ProviderKind::Local => {
            "this server runs without a one-machine cloud; ask the server that has one"
        }
        ProviderKind::Aws => {
            "this build of pointsman knows no AWS; build it with `cargo build --release --features aws`"
        }
        ProviderKind::Custom => {
            "this build of pointsman brings no provider of its own; use one that does, or another account"
        }
    };
    ProviderError::new(ErrorKind::Invalid, message)
}
