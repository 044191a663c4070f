//! What is going on at a place: what is live, what runs, what is seen.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    access::{Resource, Right},
    catalogue::{Account, Kind, ServerGroup},
    deployment::Deployment,
    effect::Target,
    governance::Lock,
    live::Live,
    names::{AccountName, EnvironmentName, Place, ServiceName},
    observation::Observation,
    time::UnixMs,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use store::status::AtPlace;

use super::{Desk, Error, Operations, Page, trouble::Trouble};

/// Server groups that are looked at at once.
const AT_ONCE: usize = 16;

/// What is going on at a place.
#[derive(Debug, Clone)]
pub struct Status {
    /// Which service, where.
    pub place: Place,
    /// What is live.
    pub live: Option<Live>,
    /// The deployment that runs.
    pub deployment: Option<Deployment>,
    /// The lock of the environment.
    pub lock: Option<Lock>,
    /// What the provider sees; `None` when there is no server group, or it cannot answer.
    pub observation: Option<Observation>,
    /// Why there is no observation, when the provider cannot answer.
    pub trouble: Option<Trouble>,
    /// Where users reach the service.
    pub url: Option<String>,
}

impl Desk {
    /// What is going on at a place. A provider in trouble is told, not an error: the rest is known.
    ///
    /// # Errors
    /// [`Error::Unknown`] service or environment.
    pub async fn status(&self, place: Place) -> Result<Status, Error> {
        let permit = self.may(Right::View, Resource::Place(&place)).await?;
        permit.known(&place).await?;
        let deployment = permit.running(&place).await?;
        let target = match &deployment {
            Some(deployment) => Some(deployment.target.clone()),
            None => permit.target(&place).await?,
        };
        let (observation, trouble) = permit.seen(target.as_ref()).await;
        let deployment = match deployment {
            Some(deployment) => Some(permit.shown(deployment).await?),
            None => None,
        };
        Ok(Status {
            live: permit.store().live(&place).await?,
            lock: permit.store().lock_of(&place.environment).await?,
            url: target.as_ref().and_then(|it| permit.clouds().url(it)),
            deployment,
            observation,
            trouble,
            place,
        })
    }

    /// What is going on at each server group of an environment, in the order of their services, after
    /// `after`. A provider in trouble is told at its row; the other rows are known.
    ///
    /// # Errors
    /// [`Error::Unknown`] environment.
    pub async fn environment_status(
        &self,
        environment: &EnvironmentName,
        after: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Page<Status>, Error> {
        let permit = self
            .may_entry(Right::View, Kind::Environment, environment.as_str())
            .await?;
        permit
            .entry(Kind::Environment, environment.as_str())
            .await?;
        let visible = self.may_see(Right::View).await?.visible().clone();
        let fetch = Page::<Status>::fetch(limit);
        let places = permit
            .store()
            .places(environment, &visible, after, fetch)
            .await?;
        let page = Page::of(places, limit, |place| place.service.to_string());
        let lock = permit.store().lock_of(environment).await?;
        let groups = page.items.iter().map(|at| group_of(at.group.body.clone()));
        let groups: Vec<ServerGroup> = groups.collect::<Result<_, _>>()?;
        let accounts = permit.accounts_of_groups(&groups).await?;
        let targets = groups.into_iter().map(|group| {
            let account = group.home().account().and_then(|name| accounts.get(name));
            Target::new(group.place(), group.clone(), account.cloned()).to_show()
        });
        let places: Vec<(AtPlace, Target)> = page.items.into_iter().zip(targets).collect();
        let statuses = stream::iter(places)
            .map(|(at, target)| permit.status_at(at, target, lock.clone()))
            .buffered(AT_ONCE);
        let mut items: Vec<Status> = statuses.collect().await;
        let running = items.iter_mut().filter_map(|it| it.deployment.take());
        let shown = permit.all_shown(running.collect()).await?;
        for deployment in shown {
            let place = &deployment.target.place;
            if let Some(status) = items.iter_mut().find(|it| it.place == *place) {
                status.deployment = Some(deployment);
            }
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }
}

impl Operations {
    /// What the provider sees, or why it does not.
    async fn seen(&self, target: Option<&Target>) -> (Option<Observation>, Option<Trouble>) {
        let Some(target) = target else {
            return (None, None);
        };
        match self.observe(target).await {
            Ok(observation) => (Some(self.dated(observation)), None),
            Err(error) => (None, Some(error.into())),
        }
    }

    /// One row of the status of an environment.
    async fn status_at(&self, at: AtPlace, described: Target, lock: Option<Lock>) -> Status {
        let running = at.deployment.as_ref().map(|it| it.target.clone());
        let target = running.unwrap_or(described);
        let (observation, trouble) = self.seen(Some(&target)).await;
        Status {
            url: self.clouds().url(&target),
            place: target.place,
            live: at.live,
            deployment: at.deployment,
            lock,
            observation,
            trouble,
        }
    }

    /// The accounts of these server groups, in one question.
    pub(crate) async fn accounts_of_groups(
        &self,
        groups: impl IntoIterator<Item = &ServerGroup>,
    ) -> Result<BTreeMap<AccountName, Account>, Error> {
        let homes = groups.into_iter().map(ServerGroup::home);
        let names: BTreeSet<AccountName> = homes.filter_map(|it| it.account().cloned()).collect();
        let names: Vec<&str> = names.iter().map(AccountName::as_str).collect();
        let entries = self.store().entries_named(Kind::Account, &names).await?;
        let accounts = entries.into_iter().map(|entry| {
            let account: Account =
                serde_json::from_value(entry.body).map_err(|_| Error::Internal {
                    doing: "reading an account of the catalogue",
                })?;
            Ok((account.name.clone(), account))
        });
        accounts.collect()
    }

    /// A provider that has never heard of a place does not say when it looked: it was now.
    pub(crate) fn dated(&self, mut seen: Observation) -> Observation {
        if seen.at == UnixMs::default() {
            seen.at = self.now();
        }
        seen
    }

    /// The server group of a place, as the catalogue describes it now.
    pub(crate) async fn target(&self, place: &Place) -> Result<Option<Target>, Error> {
        let name = place.to_string();
        let Some(entry) = self.store().entry(Kind::ServerGroup, &name).await? else {
            return Ok(None);
        };
        let group = group_of(entry.body)?;
        let account = match group.home().account() {
            None => None,
            Some(name) => self.account(name).await?,
        };
        Ok(Some(Target::new(place.clone(), group, account).to_show()))
    }

    /// An account, as the catalogue describes it now.
    pub(crate) async fn account(&self, name: &AccountName) -> Result<Option<Account>, Error> {
        let entry = self.store().entry(Kind::Account, name.as_str()).await?;
        let account = entry.map(|entry| serde_json::from_value(entry.body));
        account.transpose().map_err(|_| Error::Internal {
            doing: "reading an account of the catalogue",
        })
    }
}

/// A server group, as an entry of the catalogue describes it.
pub(crate) fn group_of(body: Value) -> Result<ServerGroup, Error> {
    serde_json::from_value(body).map_err(|_| Error::Internal {
        doing: "reading a server group of the catalogue",
    })
}
