//! The engine's two verbs on AWS, for every account that deployments name.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    catalogue::{Account, Adopted},
    checkup::{Check, CheckStatus},
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{ImageState, Listed, Running},
    names::{AccountName, DeploymentId, Place},
    observation::Observation,
    release::{Digest, ImageId},
    slice::Slice,
};
use engine::ports::{Clock, Provider, ProviderError};

use crate::{
    account::AwsAccount,
    apply::{
        self,
        packages::{Packages, Patience},
    },
    calls::{
        clients::Clients,
        errors::invalid,
        spending::{Spent, count_calls},
    },
    observe::observer::Observer,
    people::{cloudwatch, doctor, import, policy, running_images},
    settings::Settings,
};

/// Amazon Web Services. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    settings: Settings,
    packages: Packages,
    observers: Mutex<BTreeMap<AccountName, Arc<Observer>>>,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Aws").field(&self.0.settings).finish()
    }
}

impl Aws {
    /// A provider that has not called AWS yet. `packages` is the folder with each package as a file named
    /// by its digest.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, settings: Settings, packages: PathBuf) -> Self {
        Self(Arc::new(Inner {
            clock,
            settings,
            packages: Packages { folder: packages },
            observers: Mutex::default(),
        }))
    }

    /// The clients of `account`. New ones are made when its manifest changed.
    ///
    /// # Errors
    /// When it is not an account on AWS.
    pub async fn clients(&self, account: &Account) -> Result<Arc<Clients>, ProviderError> {
        let observer = self.observer(account).await?;
        Ok(Arc::clone(&observer.account().clients))
    }

    /// The calls made to `account` so far, by operation.
    #[must_use]
    pub fn calls(&self, account: &AccountName) -> BTreeMap<&'static str, u64> {
        let observers = self.lock_observers();
        let observer = observers.get(account);
        observer
            .map(|it| it.account().clients.limiter.counted())
            .unwrap_or_default()
    }

    /// The calls that were made for `deployment` at `place`, if it is the last one there that this process
    /// has driven.
    #[must_use]
    pub fn spent(
        &self,
        account: &AccountName,
        place: &Place,
        deployment: &DeploymentId,
    ) -> Option<Spent> {
        let observers = self.lock_observers();
        observers.get(account)?.spent(place, deployment)
    }

    async fn observer(&self, account: &Account) -> Result<Arc<Observer>, ProviderError> {
        let known = self.lock_observers().get(&account.name).cloned();
        if let Some(known) = known.filter(|it| it.account().is(account)) {
            return Ok(known);
        }
        let clients = Clients::connect(account, &self.0.settings).await?;
        let connected = AwsAccount::new(clients, Arc::clone(&self.0.clock));
        let new = Arc::new(Observer::new(connected, self.0.settings.clone()));
        let mut observers = self.lock_observers();
        let kept = observers
            .entry(account.name.clone())
            .or_insert_with(|| Arc::clone(&new));
        // Another task may have been faster: there is one observer per account.
        if !kept.account().is(account) {
            *kept = new;
        }
        Ok(Arc::clone(kept))
    }

    async fn observer_of(&self, target: &Target) -> Result<Arc<Observer>, ProviderError> {
        let account = target.account.as_ref();
        let account = account.ok_or_else(|| {
            invalid(format!(
                "the account of {} is not in the catalogue",
                target.place
            ))
        })?;
        self.observer(account).await
    }

    fn lock_observers(&self) -> MutexGuard<'_, BTreeMap<AccountName, Arc<Observer>>> {
        self.0
            .observers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The images of `account`: its own, and those that others share with it; at most a minute old.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn images(&self, account: &Account) -> Result<Listed, ProviderError> {
        let observer = self.observer(account).await?;
        let account = observer.account();
        account.images.list(&account.clients, account.now()).await
    }

    /// Makes sure that a package is in the bucket of `account`.
    ///
    /// # Errors
    /// When AWS does not answer, or refuses it.
    pub async fn bring(&self, account: &Account, digest: &Digest) -> Result<(), ProviderError> {
        let observer = self.observer(account).await?;
        let clients = &observer.account().clients;
        let brought = self.0.packages.bring(clients, digest, Patience::OfAnUpload);
        brought.await.map(drop)
    }

    /// Whether machines can be started from `image` in `account`.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn image_state(
        &self,
        account: &Account,
        image: &ImageId,
    ) -> Result<ImageState, ProviderError> {
        let observer = self.observer(account).await?;
        let account = observer.account();
        let now = account.now();
        account.images.standing(&account.clients, image, now).await
    }

    /// The images that these slices of `account` run on, in the same order.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn running_images(
        &self,
        account: &Account,
        slices: &[(Target, Slice)],
    ) -> Result<Vec<Running>, ProviderError> {
        let observer = self.observer(account).await?;
        running_images::of(observer.account(), slices).await
    }

    /// CloudWatch's answer to a gate about `slice`.
    pub async fn cloudwatch(&self, target: &Target, slice: Slice, gate: &CloudWatchGate) -> Said {
        match self.observer_of(target).await {
            Ok(observer) => {
                let account = observer.account();
                cloudwatch::ask(&account.clients, target, slice, gate, account.now()).await
            }
            Err(error) => Said::Nothing {
                text: error.message,
            },
        }
    }

    /// Checks everything that deployments to these server groups of `account` depend on. Changes nothing.
    pub async fn checkup(&self, account: &Account, targets: &[Target]) -> Vec<Check> {
        match self.observer(account).await {
            Ok(observer) => doctor::checkup(&observer, targets).await,
            Err(error) => vec![Check::new("account", CheckStatus::Failed, error.message)],
        }
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
        let observer = self.observer(account).await?;
        import::read(&observer.account().clients, place, groups).await
    }

    /// The permissions that Pointsman needs in `account`, and no others, as an IAM policy.
    #[must_use]
    pub fn policy(account: &Account) -> serde_json::Value {
        policy::document(account)
    }
}

impl Provider for Aws {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let asked_at = self.0.clock.now();
        let seen = self.observer_of(target).await?.observe(target).await?;
        Ok(Observation {
            waited_ms: seen.at.since_ms(asked_at),
            ..seen
        })
    }

    /// AWS keeps no tokens: an engine that is frozen between its last check and the request itself
    /// cannot be fenced there (`docs/adr/0007`).
    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        let observer = self.observer_of(target).await?;
        let applied = apply::apply(observer.account(), &self.0.packages, target, effect);
        let (applied, calls) = count_calls(applied).await;
        observer.changed(&target.place, &token.deployment, calls);
        applied
    }
}
