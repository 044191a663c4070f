//! What decides whether somebody may: whether their credential still counts, their grants, and what the
//! resource is stored as.

pub(crate) mod visible;

use domain::{
    access::{Facts, Grant, GroupName, Principal, Resource, Target, Via, Who},
    catalogue::{Environment, Kind, Service},
    names::Place,
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Store, StoreError, catalogue,
    grants::grant_of_row,
    values::{Doing, parsed},
};

const READING: &str = "reading who may do what";
/// Who is there and not disabled.
const COUNTS_OWNER: &str = "select name from people
    where name = $1 and kind = $2 and disabled_at is null";
const COUNTS_SESSION: &str = "select name from people join sessions on person = name
    where name = $1 and kind = $2 and disabled_at is null
      and sessions.id = $3 and ends_at > $4 and idle_ends_at > $4";
const COUNTS_TOKEN: &str = "select people.name from people join tokens on person = people.name
    where people.name = $1 and kind = $2 and disabled_at is null
      and tokens.id = $3 and ends_at > $4";
const GRANTS: &str = "select * from grants
    where (subject_kind = 'signed_in' and subject_name = '')
       or (subject_kind = 'person' and subject_name = $1)
       or (subject_kind = 'group'
           and subject_name in (select group_name from group_members where person = $1))";
const GRANTS_OF_ACCOUNT: &str = "select * from grants
    where subject_kind = 'service_account' and subject_name = $1";
const GROUPS: &str = "select group_name from group_members where person = $1 order by group_name";
const PLACE: &str = "select service, environment from deployments where id = $1";

impl Store {
    /// Whether `principal` still counts at the time `now`, the grants that may concern them, and what
    /// `resource` is stored as; of one moment. What is not stored belongs to no team and to no
    /// environment type.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn access(
        &self,
        principal: &Principal,
        resource: Resource<'_>,
        now: UnixMs,
    ) -> Result<Facts, StoreError> {
        let mut moment = self.snapshot().await?;
        if !counts(&mut moment, principal, now).await? {
            return Ok(Facts::default());
        }
        Ok(Facts {
            counts: true,
            groups: groups(&mut moment, principal.name()).await?,
            grants: grants(&mut moment, principal.who()).await?,
            target: target(&mut moment, resource).await?,
        })
    }

    /// The groups that somebody is in, and the grants that concern them, even while they are disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn held(&self, who: &Who) -> Result<(Vec<GroupName>, Vec<Grant>), StoreError> {
        let mut moment = self.snapshot().await?;
        let (Who::Person(name) | Who::ServiceAccount(name)) = who;
        let groups = groups(&mut moment, name.as_str()).await?;
        Ok((groups, grants(&mut moment, who).await?))
    }
}

/// The word for what somebody is.
pub(crate) fn kind_of(who: &Who) -> &'static str {
    match who {
        Who::Person(_) => "person",
        Who::ServiceAccount(_) => "service_account",
    }
}

async fn counts(
    connection: &mut AnyConnection,
    principal: &Principal,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let (query, id) = match principal.via() {
        Via::Owner => (COUNTS_OWNER, None),
        Via::Session(id) => (COUNTS_SESSION, Some(&id.0)),
        Via::Token(id) => (COUNTS_TOKEN, Some(&id.0)),
    };
    let mut query = sqlx::query(query)
        .bind(principal.name())
        .bind(kind_of(principal.who()));
    if let Some(id) = id {
        query = query.bind(id.as_str()).bind(now.0);
    }
    let row = query.fetch_optional(connection).await.doing(READING)?;
    Ok(row.is_some())
}

/// The grants that may concern somebody.
async fn grants(connection: &mut AnyConnection, who: &Who) -> Result<Vec<Grant>, StoreError> {
    let (query, name) = match who {
        Who::Person(name) => (GRANTS, name),
        Who::ServiceAccount(name) => (GRANTS_OF_ACCOUNT, name),
    };
    let rows = sqlx::query(query)
        .bind(name.as_str())
        .fetch_all(connection)
        .await
        .doing(READING)?;
    rows.iter().map(grant_of_row).collect()
}

async fn groups(
    connection: &mut AnyConnection,
    person: &str,
) -> Result<Vec<GroupName>, StoreError> {
    let rows = sqlx::query(GROUPS)
        .bind(person)
        .fetch_all(connection)
        .await
        .doing(READING)?;
    rows.iter().map(group_of_row).collect()
}

fn group_of_row(row: &AnyRow) -> Result<GroupName, StoreError> {
    let name: String = row.try_get("group_name").doing(READING)?;
    parsed("group", &name)
}

async fn target(
    connection: &mut AnyConnection,
    resource: Resource<'_>,
) -> Result<Target, StoreError> {
    match resource {
        Resource::Everything | Resource::Shared(..) => Ok(Target::default()),
        Resource::Team(team) => Ok(Target {
            team: Some(team.clone()),
            environment_type: None,
        }),
        Resource::EnvironmentType(name) => Ok(Target {
            team: None,
            environment_type: Some(name.clone()),
        }),
        Resource::Service(service) => of_service(connection, service.as_str()).await,
        Resource::Environment(environment) => {
            of_environment(connection, environment.as_str()).await
        }
        Resource::Place(Place {
            service,
            environment,
        }) => of_place(connection, service.as_str(), environment.as_str()).await,
        Resource::Deployment(id) => {
            let row = sqlx::query(PLACE)
                .bind(id.0.as_str())
                .fetch_optional(&mut *connection)
                .await
                .doing(READING)?;
            let Some(row) = row else {
                return Ok(Target::default());
            };
            let service: String = row.try_get("service").doing(READING)?;
            let environment: String = row.try_get("environment").doing(READING)?;
            of_place(connection, &service, &environment).await
        }
    }
}

/// A place belongs to the team of its service.
async fn of_place(
    connection: &mut AnyConnection,
    service: &str,
    environment: &str,
) -> Result<Target, StoreError> {
    let of_service = of_service(connection, service).await?;
    let of_environment = of_environment(connection, environment).await?;
    Ok(Target {
        team: of_service.team,
        environment_type: of_environment.environment_type,
    })
}

async fn of_service(connection: &mut AnyConnection, name: &str) -> Result<Target, StoreError> {
    let service: Option<Service> = described(connection, Kind::Service, name).await?;
    Ok(Target {
        team: service.map(|service| service.owner),
        environment_type: None,
    })
}

async fn of_environment(connection: &mut AnyConnection, name: &str) -> Result<Target, StoreError> {
    let environment: Option<Environment> = described(connection, Kind::Environment, name).await?;
    Ok(
        environment.map_or_else(Target::default, |environment| Target {
            team: environment.owner,
            environment_type: Some(environment.environment_type),
        }),
    )
}

async fn described<T: serde::de::DeserializeOwned>(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let entry = catalogue::entry_in(connection, kind, name).await?;
    let described = entry.map(|entry| serde_json::from_value(entry.body));
    described.transpose().map_err(|error| StoreError::Corrupt {
        what: format!("{kind} {name}"),
        why: error.to_string(),
    })
}
