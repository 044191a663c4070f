//! People, their tokens, and the grants that say who may do what.
//!
//! Invariant: of a token only its SHA-256 is kept.

use domain::{
    access::{Facts, Grant, PersonName, Principal, Resource, Role, Scope, Subject, Target},
    catalogue::{Environment, Kind, Service},
    names::Place,
    release::Digest,
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    catalogue,
    query::Select,
    values::{Doing, check_text, page, parse},
};

/// Most people with tokens.
pub const TOKENS_MAX: i64 = 10_000;

/// A person with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// Who.
    pub person: PersonName,
    /// When the token was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// What became of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCreated {
    /// It is stored.
    Created,
    /// The person has one already; nothing was changed.
    AlreadyThere,
    /// There are [`TOKENS_MAX`] of them; nothing was changed.
    Full,
}

const READING: &str = "reading who may do what";
const WRITING: &str = "storing a token";
const GRANTS: &str = "select * from grants
    where (subject_kind = 'signed_in' and subject_name = '')
       or (subject_kind = 'person' and subject_name = $1)";
const PLACE: &str = "select service, environment from deployments where id = $1";
const HOLDER: &str = "select person from tokens where hash = $1";
const HAS_TOKEN: &str = "select person from tokens where person = $1";
const PERSON: &str = "insert into people (name, created_at, created_by) values ($1, $2, $3)
    on conflict (name) do nothing";
const TOKEN: &str =
    "insert into tokens (hash, person, created_at, created_by) values ($1, $2, $3, $4)";
const COUNT: &str = "update counters set value = value + $1 where name = 'tokens' returning value";
const REVOKE: &str = "delete from tokens where person = $1";

impl Store {
    /// The grants that may concern `principal`, and what `resource` is stored as; of one moment. What
    /// is not stored belongs to no team and to no environment type.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn access(
        &self,
        principal: &Principal,
        resource: Resource<'_>,
    ) -> Result<Facts, StoreError> {
        let mut moment = self.snapshot().await?;
        let rows = sqlx::query(GRANTS)
            .bind(principal.name())
            .fetch_all(&mut *moment)
            .await
            .doing(READING)?;
        let grants = rows.iter().map(grant_of_row).collect::<Result<_, _>>()?;
        let target = target(&mut moment, resource).await?;
        Ok(Facts { grants, target })
    }

    /// Whose token has this hash, if it is anybody's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_holder(&self, hash: &Digest) -> Result<Option<PersonName>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let row = sqlx::query(HOLDER)
            .bind(hash.to_string())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        row.map(|row| person_of_row(&row)).transpose()
    }

    /// People with tokens in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_holders(
        &self,
        after: Option<&PersonName>,
        limit: u32,
    ) -> Result<Vec<TokenHolder>, StoreError> {
        let mut select = Select::new("select * from tokens where person >");
        select
            .bind(after.map_or("", PersonName::as_str))
            .push("order by person limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(holder_of_row).collect()
    }

    /// Stores a token for a person, who need not be known yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_token(
        &self,
        holder: &TokenHolder,
        hash: &Digest,
        audit: Audit,
    ) -> Result<TokenCreated, StoreError> {
        check_text("created_by", &holder.created_by, TEXT_BYTES_MAX)?;
        let mut writer = self.audited().await?;
        let has_one = sqlx::query(HAS_TOKEN)
            .bind(holder.person.as_str())
            .fetch_optional(writer.connection())
            .await
            .doing(WRITING)?;
        if has_one.is_some() {
            return Ok(TokenCreated::AlreadyThere);
        }
        if count(writer.connection(), 1).await? > TOKENS_MAX {
            return Ok(TokenCreated::Full);
        }
        sqlx::query(PERSON)
            .bind(holder.person.as_str())
            .bind(holder.created_at.0)
            .bind(holder.created_by.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        sqlx::query(TOKEN)
            .bind(hash.to_string())
            .bind(holder.person.as_str())
            .bind(holder.created_at.0)
            .bind(holder.created_by.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        writer.commit(&[audit]).await?;
        Ok(TokenCreated::Created)
    }

    /// Takes the token of a person away; `false` (and no audit event) when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_token(
        &self,
        person: &PersonName,
        audit: Audit,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let revoked = sqlx::query(REVOKE)
            .bind(person.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        if revoked.rows_affected() == 0 {
            return Ok(false);
        }
        count(writer.connection(), -1).await?;
        writer.commit(&[audit]).await?;
        Ok(true)
    }
}

/// Counts tokens up or down, and returns how many there are then.
async fn count(connection: &mut AnyConnection, change: i64) -> Result<i64, StoreError> {
    let row = sqlx::query(COUNT)
        .bind(change)
        .fetch_one(connection)
        .await
        .doing(WRITING)?;
    row.try_get("value").doing(WRITING)
}

async fn target(
    connection: &mut AnyConnection,
    resource: Resource<'_>,
) -> Result<Target, StoreError> {
    match resource {
        Resource::Everything => Ok(Target::default()),
        Resource::Team(team) => Ok(Target {
            team: Some(team.clone()),
            environment_type: None,
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
    Ok(Target {
        team: None,
        environment_type: environment.map(|environment| environment.environment_type),
    })
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

fn grant_of_row(row: &AnyRow) -> Result<Grant, StoreError> {
    let text = |column| row.try_get::<Option<String>, _>(column).doing(READING);
    let word = |column| text(column).map(Option::unwrap_or_default);
    let what = || "grant".to_owned();
    let kind = word("subject_kind")?;
    let name = word("subject_name")?;
    let subject = match kind.as_str() {
        "signed_in" => Subject::SignedIn,
        _ => Subject::Person(corrupt(what, name.parse::<PersonName>())?),
    };
    let team = text("team")?.map(|team| corrupt(what, team.parse()));
    let environment_type = text("environment_type")?.map(|name| corrupt(what, name.parse()));
    let role: Role = parse(what, &format!("\"{}\"", word("role")?))?;
    let until: Option<i64> = row.try_get("ends_at").doing(READING)?;
    Ok(Grant {
        subject,
        role,
        scope: Scope {
            team: team.transpose()?,
            environment_type: environment_type.transpose()?,
        },
        until: until.map(UnixMs),
    })
}

fn person_of_row(row: &AnyRow) -> Result<PersonName, StoreError> {
    let name: String = row.try_get("person").doing(READING)?;
    corrupt(|| "token".to_owned(), name.parse())
}

fn holder_of_row(row: &AnyRow) -> Result<TokenHolder, StoreError> {
    Ok(TokenHolder {
        person: person_of_row(row)?,
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
    })
}

/// What was stored as a name must be one.
fn corrupt<T, E: std::fmt::Display>(
    what: impl FnOnce() -> String,
    parsed: Result<T, E>,
) -> Result<T, StoreError> {
    parsed.map_err(|error| StoreError::Corrupt {
        what: what(),
        why: error.to_string(),
    })
}
