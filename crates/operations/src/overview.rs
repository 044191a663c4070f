//! The overview: which release of each service is live in which environment, and what runs.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    access::{Right, Visible},
    catalogue::{Environment, EnvironmentType, Freeze, Kind, Service},
    deployment::Deployment,
    governance::Lock,
    live::Live,
    names::{EnvironmentName, EnvironmentTypeName, ServiceName, TeamName},
    time::UnixMs,
};
use serde::de::DeserializeOwned;
use store::overview::{Everywhere, Filter};

use super::{Desk, Error, Operations, PAGE_MAX, Page, catalogue::unknown, desk::Seeing};

/// The environment type that comes last.
const PRODUCTION: &str = "production";
/// Longest text that names of services are searched for, in characters.
const CONTAINS_LEN_MAX: usize = 63;

/// Which services are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those that this team owns.
    pub team: Option<TeamName>,
    /// Only those whose name contains this text; empty: all.
    pub contains: String,
    /// Only those with a deployment that runs.
    pub moving: bool,
    /// Only these; empty: all.
    pub names: Vec<ServiceName>,
}

/// An environment as one column, and what holds deployments there.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The environment.
    pub environment: Environment,
    /// The lock of the environment.
    pub lock: Option<Lock>,
    /// The freeze that covers it now.
    pub freeze: Option<Freeze>,
    /// The freezes that cover it later, the next one first.
    pub coming: Vec<Freeze>,
    /// A mistake there costs most: it is production, or another person must approve.
    pub guarded: bool,
}

/// A service as one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The service.
    pub service: Service,
    /// What is known of its places, by environment. Without a cell it has no server group there, and
    /// nothing is live.
    pub cells: BTreeMap<EnvironmentName, Cell>,
}

/// A place in the overview.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// What is live.
    pub live: Option<Live>,
    /// The deployment that runs.
    pub deployment: Option<Deployment>,
    /// An environment further left runs a release that was made later.
    pub behind: Option<EnvironmentName>,
}

impl Desk {
    /// All environments in the order in which releases usually pass through them, with what holds
    /// deployments there: types that need no second person first, `production` last.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn columns(&self) -> Result<Vec<Column>, Error> {
        let seeing = self.may_see(Right::View).await?;
        seeing.columns(seeing.visible()).await
    }

    /// Services in the order of their names, after the one named `after`, with what is live and what
    /// runs in every environment. No provider is asked.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn overview(
        &self,
        columns: &[Column],
        wanted: &Wanted,
        after: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Page<Row>, Error> {
        let seeing = self.may_see(Right::View).await?;
        let filter = Filter {
            named: None,
            team: wanted.team.clone(),
            contains: searched(&wanted.contains),
            moving: wanted.moving,
            names: wanted.names.clone(),
        };
        seeing.rows(columns, &filter, after, limit).await
    }

    /// The row of one service.
    ///
    /// # Errors
    /// [`Error::Unknown`] service; or when the store does not answer.
    pub async fn row_of(&self, columns: &[Column], service: &ServiceName) -> Result<Row, Error> {
        let seeing = self.may_see(Right::View).await?;
        let filter = Filter {
            named: Some(service.clone()),
            ..Filter::default()
        };
        let mut page = seeing.rows(columns, &filter, None, 1).await?;
        let row = page.items.pop();
        row.ok_or_else(|| unknown(Kind::Service, service.as_str()))
    }
}

impl Seeing {
    /// As [`Desk::overview`].
    async fn rows(
        &self,
        columns: &[Column],
        filter: &Filter,
        after: Option<&ServiceName>,
        limit: u32,
    ) -> Result<Page<Row>, Error> {
        let fetch = Page::<Row>::fetch(limit);
        let visible = self.visible();
        let services = self.store().everywhere(filter, visible, after, fetch);
        let page = Page::of(services.await?, limit, |it| it.service.name.clone());
        let mut running: Vec<Deployment> = Vec::new();
        let mut items = Vec::new();
        for mut everywhere in page.items {
            running.append(&mut everywhere.running);
            let mut row = row(everywhere, columns)?;
            row.cells.retain(|name, _| {
                let mut columns = columns.iter().map(|column| &column.environment);
                columns
                    .find(|it| it.name == *name)
                    .is_some_and(|it| visible.covers(&row.service.owner, &it.environment_type))
            });
            items.push(row);
        }
        for deployment in self.all_shown(running).await? {
            let place = deployment.target.place.clone();
            let of_service = |row: &&mut Row| row.service.name == place.service;
            let row = items.iter_mut().find(of_service);
            if let Some(cell) = row.and_then(|row| row.cells.get_mut(&place.environment)) {
                cell.deployment = Some(deployment);
            }
        }
        Ok(Page {
            items,
            next: page.next,
        })
    }
}

impl Operations {
    async fn columns(&self, visible: &Visible) -> Result<Vec<Column>, Error> {
        let environments: Vec<Environment> = self.all_of(Kind::Environment, visible).await?;
        let types: Vec<EnvironmentType> = self.all_of(Kind::EnvironmentType, visible).await?;
        let freezes: Vec<Freeze> = self.all_of(Kind::Freeze, visible).await?;
        let names: Vec<&str> = environments.iter().map(|it| it.name.as_str()).collect();
        let mut locks = self.store().locks_of(&names).await?;
        let now = self.now();
        let guarded = types.into_iter().filter(|it| it.approval_by_another);
        let guarded: BTreeSet<EnvironmentTypeName> = guarded.map(|it| it.name).collect();
        let mut columns: Vec<Column> = environments
            .into_iter()
            .map(|environment| Column {
                lock: locks.remove(environment.name.as_str()),
                freeze: freezes
                    .iter()
                    .find(|freeze| freeze.covers(&environment, now))
                    .cloned(),
                coming: coming(&freezes, &environment, now),
                guarded: environment.environment_type.as_str() == PRODUCTION
                    || guarded.contains(&environment.environment_type),
                environment,
            })
            .collect();
        columns.sort_by_key(|column| {
            let Environment {
                name,
                environment_type,
                ..
            } = &column.environment;
            let last = environment_type.as_str() == PRODUCTION;
            (last, column.guarded, environment_type.clone(), name.clone())
        });
        Ok(columns)
    }

    /// Every entry of a kind, as its type; as many as one page holds.
    async fn all_of<T: DeserializeOwned>(
        &self,
        kind: Kind,
        visible: &Visible,
    ) -> Result<Vec<T>, Error> {
        let page = self.entries(kind, visible, None, PAGE_MAX).await?;
        let entries = page.items.into_iter().map(|entry| read(entry.body));
        entries.collect()
    }
}

/// The freezes that cover an environment later.
fn coming(freezes: &[Freeze], environment: &Environment, now: UnixMs) -> Vec<Freeze> {
    let later = |freeze: &&Freeze| freeze.names(environment) && freeze.from > now;
    let mut coming: Vec<Freeze> = freezes.iter().filter(later).cloned().collect();
    coming.sort_by_key(|freeze| freeze.from);
    coming
}

/// The text that names are searched for; what no name contains finds nothing.
fn searched(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let in_a_name = |c: char| match c {
        'a'..='z' | '0'..='9' | '-' => c,
        _ => '?',
    };
    let searched: String = text.chars().map(in_a_name).take(CONTAINS_LEN_MAX).collect();
    (!searched.is_empty()).then_some(searched)
}

fn row(everywhere: Everywhere, columns: &[Column]) -> Result<Row, Error> {
    let service: Service = read(everywhere.service.body)?;
    let groups = everywhere.groups.iter();
    let there = groups.filter_map(|name| name.split_once('.')?.1.parse().ok());
    let mut cells: BTreeMap<EnvironmentName, Cell> =
        there.map(|name| (name, Cell::default())).collect();
    for live in everywhere.live {
        let cell = cells.entry(live.place.environment.clone()).or_default();
        cell.live = Some(live);
    }
    // The latest release that was met so far, from left to right, and where.
    let mut latest = None;
    for column in columns {
        let name = &column.environment.name;
        let Some(cell) = cells.get_mut(name) else {
            continue;
        };
        let live = cell.live.as_ref();
        let Some(made) = live.and_then(|live| everywhere.made.get(&live.launch.version)) else {
            continue;
        };
        match latest {
            Some((before, ref place)) if before > *made => {
                cell.behind = Some(EnvironmentName::clone(place))
            }
            _ => latest = Some((*made, name.clone())),
        }
    }
    Ok(Row { service, cells })
}

fn read<T: DeserializeOwned>(body: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(body).map_err(|_| Error::Internal {
        doing: "reading an entry of the catalogue",
    })
}
