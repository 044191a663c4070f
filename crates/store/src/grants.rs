//! Grants: who has which role where. Only what is granted is allowed.

use domain::{
    access::{Grant, GrantId, PersonName, Right, Role, Scope, Subject},
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    query::Select,
    values::{Doing, check_text, count_up, page, parse, parsed},
};

/// Most grants.
pub const GRANTS_MAX: i64 = 10_000;

/// A grant, and who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What.
    pub grant: Grant,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// Which grants are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this subject.
    pub subject: Option<Subject>,
    /// Only those that give this right, and have not ended at this time.
    pub gives: Option<(Right, UnixMs)>,
    /// Only those that hold for what this team owns.
    pub team: Option<TeamName>,
    /// Only those that hold in environments of this type.
    pub environment_type: Option<EnvironmentTypeName>,
}

/// What became of a new grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantCreated {
    /// It is stored.
    Created,
    /// Its subject is nobody.
    Unknown,
    /// There are [`GRANTS_MAX`] of them; nothing was changed.
    Full,
}

const READING: &str = "reading grants";
const WRITING: &str = "changing grants";
const INSERT: &str = "insert into grants (id, subject_kind, subject_name, role, team,
    environment_type, ends_at, created_at, created_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const DELETE: &str = "delete from grants where id = $1";
const PERSON: &str = "select name from people where name = $1 and kind = $2";
const GROUP: &str = "select name from people_groups where name = $1";
/// Whether anybody who can come in holds the role everywhere, for good.
const HOLDERS: &str = "select subject_name from grants join people on name = subject_name
    where role = $1 and subject_kind = 'person' and grants.team is null and environment_type is null
      and ends_at is null and kind = 'person' and disabled_at is null and grants.id <> $2
      and subject_name <> $3 limit 1";

impl Store {
    /// Grants in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants(
        &self,
        filter: &Filter,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Granted>, StoreError> {
        let mut select = Select::new("select * from grants where id >");
        select.bind(after.map_or("", |id| id.0.as_str()));
        if let Some(subject) = &filter.subject {
            let (kind, name) = words(subject);
            select
                .when("and subject_kind =", Some(kind))
                .when("and subject_name =", Some(name));
        }
        if let Some((right, now)) = filter.gives {
            let roles = Role::ALL.into_iter();
            let roles = roles.filter(|role| role.rights().contains(&right));
            // A right that no role gives is found nowhere.
            let roles = roles.map(Role::as_str).chain(["-"]);
            // Not by the index of roles, which has no order over several of them.
            select.push("and role || '' in").bind_all(roles);
            select.push("and (ends_at is null or ends_at >").bind(now.0);
            select.push(")");
        }
        if let Some(team) = &filter.team {
            select
                .push("and (team is null or team =")
                .bind(team.as_str());
            select.push(")");
        }
        if let Some(class) = &filter.environment_type {
            select.push("and (environment_type is null or environment_type =");
            select.bind(class.as_str()).push(")");
        }
        select.push("order by id limit").bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(granted_of_row).collect()
    }

    /// One grant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<Granted>, StoreError> {
        let row = sqlx::query("select * from grants where id = $1")
            .bind(id.0.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| granted_of_row(&row)).transpose()
    }

    /// Stores a grant.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_grant(
        &self,
        granted: &Granted,
        audit: Audit,
    ) -> Result<GrantCreated, StoreError> {
        let mut writer = self.audited().await?;
        if !exists(writer.connection(), &granted.grant.subject).await? {
            return Ok(GrantCreated::Unknown);
        }
        if count_up(writer.connection(), "grants", 1).await? > GRANTS_MAX {
            return Ok(GrantCreated::Full);
        }
        insert(writer.connection(), granted).await?;
        writer.commit(&[audit]).await?;
        Ok(GrantCreated::Created)
    }

    /// Removes a grant; `false` (and no audit event) when there is none.
    ///
    /// # Errors
    /// [`StoreError::LastAdmin`]; or when the database fails.
    pub async fn remove_grant(&self, id: &GrantId, audit: Audit) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let removed = sqlx::query(DELETE)
            .bind(id.0.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        another_admin(writer.connection(), id.0.as_str(), "").await?;
        count_up(writer.connection(), "grants", -1).await?;
        writer.commit(&[audit]).await?;
        Ok(true)
    }
}

/// Somebody must be able to grant, besides by the grant `id` and besides `person`.
pub(crate) async fn another_admin(
    connection: &mut AnyConnection,
    id: &str,
    person: &str,
) -> Result<(), StoreError> {
    let row = sqlx::query(HOLDERS)
        .bind(Role::Admin.as_str())
        .bind(id)
        .bind(person)
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|_| ()).ok_or(StoreError::LastAdmin)
}

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    granted: &Granted,
) -> Result<(), StoreError> {
    check_text("created_by", &granted.created_by, TEXT_BYTES_MAX)?;
    let grant = &granted.grant;
    let (kind, name) = words(&grant.subject);
    let class = grant.scope.environment_type.as_ref();
    sqlx::query(INSERT)
        .bind(grant.id.0.as_str())
        .bind(kind)
        .bind(name)
        .bind(grant.role.as_str())
        .bind(grant.scope.team.as_ref().map(|team| team.as_str()))
        .bind(class.map(|name| name.as_str()))
        .bind(grant.until.map(|until| until.0))
        .bind(granted.created_at.0)
        .bind(granted.created_by.as_str())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

/// A subject as it is stored.
fn words(subject: &Subject) -> (&'static str, &str) {
    match subject {
        Subject::SignedIn => ("signed_in", ""),
        Subject::Person(name) => ("person", name.as_str()),
        Subject::Group(name) => ("group", name.as_str()),
        Subject::ServiceAccount(name) => ("service_account", name.as_str()),
    }
}

async fn exists(connection: &mut AnyConnection, subject: &Subject) -> Result<bool, StoreError> {
    let (kind, name) = words(subject);
    let query = match subject {
        Subject::SignedIn => return Ok(true),
        Subject::Group(_) => sqlx::query(GROUP).bind(name),
        Subject::Person(_) | Subject::ServiceAccount(_) => {
            sqlx::query(PERSON).bind(name).bind(kind)
        }
    };
    let row = query.fetch_optional(connection).await.doing(READING)?;
    Ok(row.is_some())
}

pub(crate) fn grant_of_row(row: &AnyRow) -> Result<Grant, StoreError> {
    let text = |column| row.try_get::<Option<String>, _>(column).doing(READING);
    let word = |column| text(column).map(Option::unwrap_or_default);
    let (kind, name) = (word("subject_kind")?, word("subject_name")?);
    let person = || parsed::<PersonName>("grant", &name);
    let subject = match kind.as_str() {
        "signed_in" => Subject::SignedIn,
        "person" => Subject::Person(person()?),
        "group" => Subject::Group(parsed("grant", &name)?),
        "service_account" => Subject::ServiceAccount(person()?),
        _ => {
            return Err(StoreError::Corrupt {
                what: "grant".to_owned(),
                why: format!("{kind:?} is no subject"),
            });
        }
    };
    let role: Role = parse(|| "grant".to_owned(), &format!("\"{}\"", word("role")?))?;
    let until: Option<i64> = row.try_get("ends_at").doing(READING)?;
    Ok(Grant {
        id: GrantId(word("id")?),
        subject,
        role,
        scope: scope_of_row(row)?,
        until: until.map(UnixMs),
    })
}

pub(crate) fn scope_of_row(row: &AnyRow) -> Result<Scope, StoreError> {
    let team: Option<String> = row.try_get("team").doing(READING)?;
    let class: Option<String> = row.try_get("environment_type").doing(READING)?;
    Ok(Scope {
        team: team.map(|name| parsed("scope", &name)).transpose()?,
        environment_type: class.map(|name| parsed("scope", &name)).transpose()?,
    })
}

fn granted_of_row(row: &AnyRow) -> Result<Granted, StoreError> {
    Ok(Granted {
        grant: grant_of_row(row)?,
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
    })
}
