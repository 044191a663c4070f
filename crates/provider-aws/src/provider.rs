//! The engine's two verbs on AWS, for every account that deployments name.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use domain::{
    catalogue::{Account, Adopted},
    checkup::{Check, Verdict},
    effect::{Effect, Target, Token},
    gate::{CloudWatchGate, Said},
    image::{Listed, Running, Standing},
    names::{AccountName, DeploymentId, Place},
    observation::{Observation, Slice},
    release::{Digest, ImageId},
};
use engine::ports::{Clock, Provider, ProviderError};

use crate::{
    apply::{
        self,
        packages::{Packages, Patience},
    },
    calls::{
        clients::Clients,
        errors::invalid,
        spending::{Spent, counted},
    },
    observe::observer::Lookout,
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
    lookouts: Mutex<BTreeMap<AccountName, Arc<Lookout>>>,
}

impl std::fmt::Debug for Aws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Aws").field(&self.0.settings).finish()
    }
}

impl Aws {
    /// A provider that has not called anybody yet. `packages` holds each package as a file named by
    /// its digest.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, settings: Settings, packages: PathBuf) -> Self {
        Self(Arc::new(Inner {
            clock,
            settings,
            packages: Packages { folder: packages },
            lookouts: Mutex::default(),
        }))
    }

    /// The clients of `account`; made anew when its description changed.
    ///
    /// # Errors
    /// When it is not an account on AWS.
    pub async fn clients(&self, account: &Account) -> Result<Arc<Clients>, ProviderError> {
        Ok(Arc::clone(self.lookout(account).await?.clients()))
    }

    /// Calls made to `account` so far, by operation.
    #[must_use]
    pub fn calls(&self, account: &AccountName) -> BTreeMap<&'static str, u64> {
        let lookouts = self
            .0
            .lookouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let lookout = lookouts.get(account);
        lookout
            .map(|it| it.clients().calls.counted())
            .unwrap_or_default()
    }

    /// Calls that were made for `deployment` at `place`, if it is the last one there that this process
    /// has driven.
    #[must_use]
    pub fn spent(
        &self,
        account: &AccountName,
        place: &Place,
        deployment: &DeploymentId,
    ) -> Option<Spent> {
        let lookouts = self
            .0
            .lookouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lookouts.get(account)?.spent(place, deployment)
    }

    async fn lookout(&self, account: &Account) -> Result<Arc<Lookout>, ProviderError> {
        if let Some(known) = self.known(account) {
            return Ok(known);
        }
        let clients = Clients::connect(account, &self.0.settings).await?;
        let lookout = Lookout::new(clients, Arc::clone(&self.0.clock), self.0.settings.clone());
        let mut lookouts = self
            .0
            .lookouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = lookouts.entry(account.name.clone());
        // Somebody may have been faster; there is one lookout per account.
        let kept = entry
            .and_modify(|it| {
                if it.clients().account != *account {
                    *it = Arc::new(Lookout::new(
                        Arc::clone(lookout.clients()),
                        Arc::clone(&self.0.clock),
                        self.0.settings.clone(),
                    ));
                }
            })
            .or_insert_with(|| Arc::new(lookout));
        Ok(Arc::clone(kept))
    }

    fn known(&self, account: &Account) -> Option<Arc<Lookout>> {
        let lookouts = self
            .0
            .lookouts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = lookouts.get(&account.name)?;
        (known.clients().account == *account).then(|| Arc::clone(known))
    }

    async fn of(&self, target: &Target) -> Result<Arc<Lookout>, ProviderError> {
        let account = target.account.as_ref();
        let account = account.ok_or_else(|| {
            invalid(format!(
                "the account of {} is not in the catalogue",
                target.place
            ))
        })?;
        self.lookout(account).await
    }

    /// The images of `account`: its own, and those that others share with it; at most a minute old.
    ///
    /// # Errors
    /// When AWS does not answer.
    pub async fn images(&self, account: &Account) -> Result<Listed, ProviderError> {
        let lookout = self.lookout(account).await?;
        lookout.images.get(lookout.clients(), lookout.now()).await
    }

    /// Makes sure that a package is in the bucket of `account`.
    ///
    /// # Errors
    /// When AWS does not answer, or does not take it.
    pub async fn bring(&self, account: &Account, digest: &Digest) -> Result<(), ProviderError> {
        let lookout = self.lookout(account).await?;
        let packages = &self.0.packages;
        let brought = packages.bring(lookout.clients(), digest, Patience::OfAnUpload);
        brought.await.map(drop)
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
        let lookout = self.lookout(account).await?;
        let (clients, now) = (lookout.clients(), lookout.now());
        lookout.images.standing(clients, image, now).await
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
        running_images::running(&*self.lookout(account).await?, slices).await
    }

    /// What CloudWatch says to a gate about `slice`.
    pub async fn cloudwatch(&self, target: &Target, slice: Slice, gate: &CloudWatchGate) -> Said {
        let lookout = match self.of(target).await {
            Ok(lookout) => lookout,
            Err(error) => {
                return Said::Nothing {
                    text: error.message,
                };
            }
        };
        cloudwatch::ask(lookout.clients(), target, slice, gate, lookout.now()).await
    }

    /// Looks at everything that deployments to these groups of `account` depend on. Changes nothing.
    pub async fn checkup(&self, account: &Account, targets: &[Target]) -> Vec<Check> {
        match self.lookout(account).await {
            Ok(lookout) => doctor::checkup(&lookout, targets).await,
            Err(error) => vec![Check::new("account", Verdict::Failed, error.message)],
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
        import::read(&*self.lookout(account).await?, place, groups).await
    }

    /// The least that Pointsman needs in `account`, as an IAM policy.
    #[must_use]
    pub fn policy(account: &Account) -> serde_json::Value {
        policy::document(account)
    }
}

impl Provider for Aws {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        self.of(target).await?.observe(target).await
    }

    /// AWS keeps no tokens: an engine that is frozen between its last check and the request itself
    /// cannot be fenced there (`docs/adr/0007`).
    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        let lookout = self.of(target).await?;
        let applied = apply::apply(&lookout, &self.0.packages, target, effect);
        let (applied, calls) = counted(applied).await;
        lookout.spend(&target.place, &token.deployment, calls);
        lookout.changed();
        applied
    }
}
