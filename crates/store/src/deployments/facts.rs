//! What governance looks at, in a few indexed questions at one moment.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    access::Visible,
    catalogue::{
        Account, Environment, EnvironmentType, Freeze, Kind, Prometheus, ServerGroup, Service,
    },
    governance::{Facts, Wish},
    names::{DeploymentId, Place},
    time::UnixMs,
};
use serde::de::DeserializeOwned;
use sqlx::{AnyConnection, Row};

use super::live_in;
use crate::{
    PAGE_MAX, Store, StoreError,
    catalogue::{Entry, Filter, entries_in, entry_in},
    locks::lock_in,
    releases::release_in,
    values::Doing,
};

/// Most that the gates of one deployment may ask; governance refuses more gates than this.
const PROMETHEUSES_MAX: usize = 20;
const READING: &str = "reading what governance looks at";
const RUNNING: &str =
    "select id from deployments where finished = 0 and environment = $1 and service = $2";
const INSTANCES: &str = "select cast(coalesce(sum(instances), 0) as bigint) as instances
    from catalogue where environment = $1 and name <> $2";
const SURGE: &str = "select cast(coalesce(sum(surge), 0) as bigint) as instances
    from deployments where finished = 0 and environment = $1 and service <> $2";

impl Store {
    /// All that governance looks at, of one moment, which is `now`; except for `artifact` and `seen`,
    /// which the store does not know.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(&self, wish: &Wish, now: UnixMs) -> Result<Facts, StoreError> {
        let mut moment = self.snapshot().await?;
        let facts = facts_in(&mut moment, wish, now).await?;
        moment.commit().await.doing(READING)?;
        Ok(facts)
    }
}

pub(super) async fn facts_in(
    connection: &mut AnyConnection,
    wish: &Wish,
    now: UnixMs,
) -> Result<Facts, StoreError> {
    let place = &wish.place;
    let environment: Option<Environment> =
        body(connection, Kind::Environment, place.environment.as_str()).await?;
    let environment_type: Option<EnvironmentType> = match &environment {
        None => None,
        Some(environment) => {
            let name = environment.environment_type.as_str();
            body(connection, Kind::EnvironmentType, name).await?
        }
    };
    let service: Option<Service> = body(connection, Kind::Service, place.service.as_str()).await?;
    let group: Option<ServerGroup> =
        body(connection, Kind::ServerGroup, &place.to_string()).await?;
    let account: Option<Account> = match group.as_ref().and_then(|it| it.home().account()) {
        None => None,
        Some(name) => body(connection, Kind::Account, name.as_str()).await?,
    };
    let live = live_in(connection, place).await?;
    let freezes = match &environment {
        None => Vec::new(),
        Some(environment) => freezes(connection, environment).await?,
    };
    let prometheuses = prometheuses(connection, wish, group.as_ref()).await?;
    Ok(Facts {
        now,
        freezes,
        prometheuses,
        service,
        environment,
        environment_type,
        group,
        release: release_in(connection, &place.service, &wish.version).await?,
        lock: lock_in(connection, &place.environment).await?,
        running: running(connection, place).await?,
        account,
        live: live.map(|live| live.launch),
        environment_instances: other_instances(connection, place).await?,
        ..Facts::default()
    })
}

/// Every freeze that names the environment or its type, each once. There are never more than are read,
/// because the catalogue takes no more.
async fn freezes(
    connection: &mut AnyConnection,
    environment: &Environment,
) -> Result<Vec<Freeze>, StoreError> {
    let most = Kind::Freeze.words().most.unwrap_or(PAGE_MAX);
    let mut found = BTreeMap::new();
    for to in [
        (Kind::Environment, environment.name.to_string()),
        (
            Kind::EnvironmentType,
            environment.environment_type.to_string(),
        ),
    ] {
        let filter = Filter {
            refers_to: Some(to),
        };
        for entry in entries_in(
            connection,
            (Kind::Freeze, &filter),
            &Visible::everything(),
            None,
            most,
        )
        .await?
        {
            let name = entry.name.clone();
            found.insert(name, typed(entry)?);
        }
    }
    Ok(found.into_values().collect())
}

/// Every Prometheus that a gate of the wish asks, or of the server group when the wish has none.
async fn prometheuses(
    connection: &mut AnyConnection,
    wish: &Wish,
    group: Option<&ServerGroup>,
) -> Result<Vec<Prometheus>, StoreError> {
    let Some(options) = wish.strategy.two_slices() else {
        return Ok(Vec::new());
    };
    let usual = group
        .map(|group| group.gates.as_slice())
        .unwrap_or_default();
    let gates = options.gates.as_deref().unwrap_or(usual);
    let names: BTreeSet<&str> = gates
        .iter()
        .filter_map(|gate| Some(gate.prometheus_name()?.as_str()))
        .take(PROMETHEUSES_MAX)
        .collect();
    let mut found = Vec::new();
    for name in names {
        found.extend(body::<Prometheus>(connection, Kind::Prometheus, name).await?);
    }
    Ok(found)
}

/// A catalogue entry as its domain type.
async fn body<T: DeserializeOwned>(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let entry = entry_in(connection, kind, name).await?;
    entry.map(typed).transpose()
}

fn typed<T: DeserializeOwned>(entry: Entry) -> Result<T, StoreError> {
    let Entry {
        kind, name, body, ..
    } = entry;
    serde_json::from_value(body).map_err(|error| StoreError::Corrupt {
        what: format!("{kind} {name}"),
        why: error.to_string(),
    })
}

async fn running(
    connection: &mut AnyConnection,
    place: &Place,
) -> Result<Option<DeploymentId>, StoreError> {
    let row = sqlx::query(RUNNING)
        .bind(place.environment.as_str())
        .bind(place.service.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|row| row.try_get("id").map(DeploymentId).doing(READING))
        .transpose()
}

/// Instances of all other groups of the environment, their running deployments' surge included.
async fn other_instances(connection: &mut AnyConnection, place: &Place) -> Result<u32, StoreError> {
    let environment = place.environment.as_str();
    let mut sum = 0_u32;
    for (question, other) in [
        (INSTANCES, place.to_string()),
        (SURGE, place.service.to_string()),
    ] {
        let row = sqlx::query(question)
            .bind(environment)
            .bind(other)
            .fetch_one(&mut *connection)
            .await
            .doing(READING)?;
        let instances: i64 = row.try_get("instances").doing(READING)?;
        sum = sum.saturating_add(u32::try_from(instances).unwrap_or(u32::MAX));
    }
    Ok(sum)
}
