//! What is going on at a place: what is live, what runs, what is seen.

use domain::{
    access::{Resource, Right},
    catalogue::{Account, ServerGroup},
    deployment::Deployment,
    effect::Target,
    governance::Lock,
    live::Live,
    names::{AccountName, EnvironmentName, Place, ServiceName},
    observation::Observation,
    time::UnixMs,
};
use store::{catalogue::Kind, deployments::LiveFilter};

use super::{Desk, Error, Operations, Page, trouble::Trouble};

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
        let (observation, trouble) = match &target {
            None => (None, None),
            Some(target) => match permit.observe(target).await {
                Ok(observation) => (Some(permit.dated(observation)), None),
                Err(error) => (None, Some(error.into())),
            },
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

    /// What is live at many places, in the order of (environment, service), after `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn lives(
        &self,
        service: Option<&ServiceName>,
        environment: Option<&EnvironmentName>,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Page<Live>, Error> {
        let permit = self.may(Right::View, Resource::Everything).await?;
        let filter = LiveFilter {
            service: service.cloned(),
            environment: environment.cloned(),
        };
        let fetch = Page::<Live>::fetch(limit);
        let lives = permit.store().lives(&filter, after, fetch).await?;
        Ok(Page::of(lives, limit, |live| live.place.to_string()))
    }
}

impl Operations {
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
        let group: ServerGroup =
            serde_json::from_value(entry.body).map_err(|_| Error::Internal {
                doing: "reading a server group of the catalogue",
            })?;
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
