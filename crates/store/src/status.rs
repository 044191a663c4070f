//! What is going on in an environment: each server group, what is live there, and what runs.

use std::collections::BTreeMap;

use domain::{
    access::Visible,
    catalogue::Kind,
    deployment::Deployment,
    live::Live,
    names::{EnvironmentName, ServiceName},
};
use sqlx::AnyConnection;

use crate::{
    Store, StoreError,
    access::visible::SERVER_GROUPS,
    catalogue::{Entry, entry_of_row},
    deployments::{deployment_of_row, live_of_row},
    query::Select,
    values::page,
};

/// A server group, and what is known of its place.
#[derive(Debug, Clone, PartialEq)]
pub struct AtPlace {
    /// The service.
    pub service: ServiceName,
    /// The server group, as the catalogue has it.
    pub group: Entry,
    /// What is live.
    pub live: Option<Live>,
    /// The deployment that runs.
    pub deployment: Option<Deployment>,
}

const DOING: &str = "reading the status of an environment";
const GROUPS: &str = "select * from catalogue where environment =";
const LIVES: &str = "select * from live where environment =";
const RUNNING: &str = "select * from deployments where finished = 0 and environment =";

impl Store {
    /// The server groups of an environment in the order of their names, after the one of the service
    /// `after`, with what is live and what runs at each, as far as they are visible; all of one moment, in
    /// three questions however many there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn places(
        &self,
        environment: &EnvironmentName,
        visible: &Visible,
        after: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<AtPlace>, StoreError> {
        if visible.is_nothing() {
            return Ok(Vec::new());
        }
        let after = after.map(|service| format!("{service}.{environment}"));
        let mut moment = self.snapshot().await?;
        let mut select = Select::new(GROUPS);
        select
            .bind(environment.as_str())
            .when("and kind =", Some(Kind::ServerGroup.as_str()))
            .when("and name >", after.as_deref())
            .visible(&SERVER_GROUPS, visible)
            .push("order by name limit")
            .bind(page(limit));
        let rows = select.all(&mut moment, DOING).await?;
        let groups = rows
            .iter()
            .map(entry_of_row)
            .collect::<Result<Vec<_>, _>>()?;
        let services: Vec<ServiceName> = groups.iter().filter_map(service_of).collect();
        let mut lives = lives(&mut moment, environment, &services).await?;
        let mut running = running(&mut moment, environment, &services).await?;
        let places = groups.into_iter().filter_map(|group| {
            let service = service_of(&group)?;
            Some(AtPlace {
                live: lives.remove(&service),
                deployment: running.remove(&service),
                service,
                group,
            })
        });
        Ok(places.collect())
    }
}

/// The service of a server group: its name is `service.environment`.
fn service_of(group: &Entry) -> Option<ServiceName> {
    let (service, _) = group.name.split_once('.')?;
    service.parse().ok()
}

async fn lives(
    connection: &mut AnyConnection,
    environment: &EnvironmentName,
    services: &[ServiceName],
) -> Result<BTreeMap<ServiceName, Live>, StoreError> {
    let Some(select) = of_services(LIVES, environment, services) else {
        return Ok(BTreeMap::new());
    };
    let rows = select.all(connection, DOING).await?;
    let lives = rows.iter().map(live_of_row);
    lives
        .map(|live| live.map(|live| (live.place.service.clone(), live)))
        .collect()
}

async fn running(
    connection: &mut AnyConnection,
    environment: &EnvironmentName,
    services: &[ServiceName],
) -> Result<BTreeMap<ServiceName, Deployment>, StoreError> {
    let Some(select) = of_services(RUNNING, environment, services) else {
        return Ok(BTreeMap::new());
    };
    let rows = select.all(connection, DOING).await?;
    let running = rows.iter().map(deployment_of_row);
    running
        .map(|it| it.map(|it| (it.target.place.service.clone(), it)))
        .collect()
}

/// `head` with the environment, for these services; `None` when there are none.
fn of_services(
    head: &'static str,
    environment: &EnvironmentName,
    services: &[ServiceName],
) -> Option<Select> {
    if services.is_empty() {
        return None;
    }
    let mut select = Select::new(head);
    select
        .bind(environment.as_str())
        .push("and service in")
        .bind_all(services.iter().map(ServiceName::as_str));
    Some(select)
}
