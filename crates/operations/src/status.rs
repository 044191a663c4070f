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
use store::{catalogue::Entry, status::AtPlace};

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
            .may(Right::View, Resource::Environment(environment))
            .await?;
        permit
            .entry(Kind::Environment, environment.as_str())
            .await?;
        let fetch = Page::<Status>::fetch(limit);
        let places = permit.store().places(environment, after, fetch).await?;
        let page = Page::of(places, limit, |place| place.service.to_string());
        let lock = permit.store().lock_of(environment).await?;
        let accounts = permit.accounts_of_places(&page.items).await?;
        let statuses = stream::iter(page.items)
            .map(|place| permit.status_of(environment, place, &accounts, lock.clone()))
            .buffered(AT_ONCE);
        let items: Vec<Result<Status, Error>> = statuses.collect().await;
        Ok(Page {
            items: items.into_iter().collect::<Result<_, _>>()?,
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
    async fn status_of(
        &self,
        environment: &EnvironmentName,
        place: AtPlace,
        accounts: &BTreeMap<AccountName, Account>,
        lock: Option<Lock>,
    ) -> Result<Status, Error> {
        let AtPlace {
            service,
            group,
            live,
            deployment,
        } = place;
        let place = Place {
            service,
            environment: environment.clone(),
        };
        let target = match &deployment {
            Some(deployment) => deployment.target.clone(),
            None => {
                let group = group_of(group)?;
                let account = group.home().account().and_then(|name| accounts.get(name));
                Target::new(place.clone(), group.clone(), account.cloned()).to_show()
            }
        };
        let (observation, trouble) = self.seen(Some(&target)).await;
        Ok(Status {
            url: self.clouds().url(&target),
            place,
            live,
            deployment,
            lock,
            observation,
            trouble,
        })
    }

    /// The accounts of these server groups, in one question.
    async fn accounts_of_places(
        &self,
        places: &[AtPlace],
    ) -> Result<BTreeMap<AccountName, Account>, Error> {
        let mut names = BTreeSet::new();
        for place in places {
            names.extend(group_of(place.group.clone())?.home().account().cloned());
        }
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
        let group = group_of(entry)?;
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

fn group_of(entry: Entry) -> Result<ServerGroup, Error> {
    serde_json::from_value(entry.body).map_err(|_| Error::Internal {
        doing: "reading a server group of the catalogue",
    })
}
