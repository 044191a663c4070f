//! What is live and what runs in all environments, service by service.

use std::collections::BTreeMap;

use domain::{
    access::Visible,
    deployment::Deployment,
    live::Live,
    names::{ServiceName, TeamName, Version},
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Store, StoreError,
    access::visible::SERVICES as SERVICES_SEEN,
    catalogue::{Entry, entry_of_row},
    deployments::{deployment_of_row, live_of_row},
    query::Select,
    values::{Doing, page},
};

/// Which services are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this one.
    pub named: Option<ServiceName>,
    /// Only those that this team owns.
    pub team: Option<TeamName>,
    /// Only those whose name contains this text: letters, digits and hyphens.
    pub contains: Option<String>,
    /// Only those with a deployment that runs.
    pub moving: bool,
    /// Only these; empty: all.
    pub names: Vec<ServiceName>,
}

/// A service, and what is known of all its places.
#[derive(Debug, Clone, PartialEq)]
pub struct Everywhere {
    /// The service, as the catalogue has it.
    pub service: Entry,
    /// The names of its server groups.
    pub groups: Vec<String>,
    /// What is live.
    pub live: Vec<Live>,
    /// What runs.
    pub running: Vec<Deployment>,
    /// When the releases that are live were made.
    pub made: BTreeMap<Version, UnixMs>,
}

const DOING: &str = "reading the overview";
const SERVICES: &str = "select * from catalogue where kind = 'service'";
const OWNED: &str = "select catalogue.* from catalogue_references join catalogue
    on catalogue.kind = from_kind and catalogue.name = from_name
    where from_kind = 'service' and to_kind = 'team'";
const GROUPS: &str = "select to_name, from_name from catalogue_references
    where to_kind = 'service' and from_kind = 'server-group' and to_name in";
const LIVES: &str = "select * from live where service in";
const RUNNING: &str =
    "select service, id, record from deployments where finished = 0 and service in";
const MADE: &str = "select service, version, created_at from releases where service in";

impl Store {
    /// Services that are visible, in the order of their names, after the one named `after`, with what is
    /// known of all their places, visible or not; all of one moment, in five questions however many there are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn everywhere(
        &self,
        filter: &Filter,
        visible: &Visible,
        after: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Vec<Everywhere>, StoreError> {
        if visible.is_nothing() {
            return Ok(Vec::new());
        }
        let mut moment = self.snapshot().await?;
        let rows = services(filter, visible, after, limit)
            .all(&mut moment, DOING)
            .await?;
        let services = rows.iter().map(entry_of_row);
        let services: Vec<Entry> = services.collect::<Result<_, _>>()?;
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = services.iter().map(|entry| entry.name.as_str()).collect();
        let mut groups = by_service(&mut moment, GROUPS, &names, |row| {
            Ok((text(row, "to_name")?, text(row, "from_name")?))
        })
        .await?;
        let mut live = by_service(&mut moment, LIVES, &names, |row| {
            Ok((text(row, "service")?, live_of_row(row)?))
        })
        .await?;
        let mut running = by_service(&mut moment, RUNNING, &names, |row| {
            Ok((text(row, "service")?, deployment_of_row(row)?))
        })
        .await?;
        let mut made = made(&mut moment, &live).await?;
        let all = services.into_iter().map(|service| Everywhere {
            groups: groups.remove(&service.name).unwrap_or_default(),
            live: live.remove(&service.name).unwrap_or_default(),
            running: running.remove(&service.name).unwrap_or_default(),
            made: made.remove(&service.name).unwrap_or_default(),
            service,
        });
        Ok(all.collect())
    }
}

/// The question for the services themselves.
fn services(filter: &Filter, visible: &Visible, after: Option<&ServiceName>, limit: u32) -> Select {
    let team = filter.team.as_ref().map(TeamName::as_str);
    let mut select = Select::new(if team.is_some() { OWNED } else { SERVICES });
    let contains = filter.contains.as_ref().map(|text| format!("%{text}%"));
    select
        .when("and to_name =", team)
        .when(
            "and catalogue.name =",
            filter.named.as_ref().map(ServiceName::as_str),
        )
        .when("and catalogue.name >", after.map(ServiceName::as_str))
        .when("and catalogue.name like", contains.as_deref());
    if !filter.names.is_empty() {
        let names = filter.names.iter().map(ServiceName::as_str);
        select.push("and catalogue.name in").bind_all(names);
    }
    if filter.moving {
        select.push("and catalogue.name in (select service from deployments where finished = 0)");
    }
    select
        .visible(&SERVICES_SEEN, visible)
        .push("order by catalogue.name limit")
        .bind(page(limit));
    select
}

/// The rows of these services, by service.
async fn by_service<T>(
    connection: &mut AnyConnection,
    head: &'static str,
    names: &[&str],
    read: impl Fn(&AnyRow) -> Result<(String, T), StoreError>,
) -> Result<BTreeMap<String, Vec<T>>, StoreError> {
    let mut select = Select::new(head);
    select.bind_all(names.iter().copied());
    let mut all: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for row in select.all(connection, DOING).await? {
        let (service, item) = read(&row)?;
        all.entry(service).or_default().push(item);
    }
    Ok(all)
}

/// When the releases that are live were made, by service.
async fn made(
    connection: &mut AnyConnection,
    live: &BTreeMap<String, Vec<Live>>,
) -> Result<BTreeMap<String, BTreeMap<Version, UnixMs>>, StoreError> {
    let versions = live.values().flatten();
    let versions: std::collections::BTreeSet<&str> =
        versions.map(|it| it.launch.version.as_str()).collect();
    let mut all: BTreeMap<String, BTreeMap<Version, UnixMs>> = BTreeMap::new();
    if versions.is_empty() {
        return Ok(all);
    }
    let mut select = Select::new(MADE);
    select
        .bind_all(live.keys().map(String::as_str))
        .push("and version in")
        .bind_all(versions);
    for row in select.all(connection, DOING).await? {
        let at: i64 = row.try_get("created_at").doing(DOING)?;
        if let Ok(version) = text(&row, "version")?.parse() {
            let service = all.entry(text(&row, "service")?).or_default();
            service.insert(version, UnixMs(at));
        }
    }
    Ok(all)
}

fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    row.try_get(column).doing(DOING)
}
