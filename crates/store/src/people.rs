//! People and service accounts. Who a person is: a subject at a provider of identities; `local` is our own.
//!
//! Invariant: there is somebody who can manage people, once there was.

mod list;

use domain::{
    access::{Grant, GrantId, PersonName, Role, Scope, Subject, Who},
    names::TeamName,
    release::Digest,
    time::UnixMs,
};
use serde_json::json;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    access::kind_of,
    audit::TEXT_BYTES_MAX,
    grants::{self, Granted},
    values::{Doing, check_text, count_up, parsed},
};

pub use list::Filter;

/// Most people and service accounts.
pub const PEOPLE_MAX: i64 = 10_000;
/// The provider of identities that is our own.
pub const LOCAL: &str = "local";

/// Somebody who can be granted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, and what: a person or a service account.
    pub who: Who,
    /// The team of a service account.
    pub team: Option<TeamName>,
    /// Where the identity is from: `local`, or the name of a directory.
    pub provider: String,
    /// Who that is there.
    pub subject: String,
    /// Whether there is a password.
    pub has_password: bool,
    /// When they were added.
    pub created_at: UnixMs,
    /// Who added them.
    pub created_by: String,
    /// When they signed in the last time.
    pub signed_in_at: Option<UnixMs>,
    /// Since when they are disabled.
    pub disabled_at: Option<UnixMs>,
}

/// A code that lets somebody in once, by its SHA-256, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its hash.
    pub hash: Digest,
    /// When it ends.
    pub ends_at: UnixMs,
}

/// What became of a new person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonCreated {
    /// They are stored.
    Created,
    /// The name is taken; nothing was changed.
    AlreadyThere,
    /// There are [`PEOPLE_MAX`] of them; nothing was changed.
    Full,
}

const READING: &str = "reading people";
const WRITING: &str = "changing people";
const PERSON: &str = "select * from people where name = $1";
const INSERT: &str = "insert into people
    (name, kind, team, provider, subject, password, created_at, created_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing";
const PASSWORD: &str = "select password from people
    where name = $1 and kind = 'person' and disabled_at is null";
const SET_PASSWORD: &str = "update people set password = $2
    where name = $1 and kind = 'person' and provider = 'local'";
const SET_DISABLED: &str = "update people set disabled_at = $2 where name = $1";
const CODE: &str = "insert into sign_in_codes (hash, person, ends_at) values ($1, $2, $3)";
const END_CODES: &str = "delete from sign_in_codes where person = $1";
const END_OLD_CODES: &str = "delete from sign_in_codes where ends_at <= $1";
const ADMIN: &str = "select subject_name from grants join people on name = subject_name
    where role = 'admin' and subject_kind = 'person' and disabled_at is null limit 1";

impl Store {
    /// Whether there is somebody who can manage people.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_admin(&self) -> Result<bool, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        has_admin(&mut connection).await
    }

    /// One person or service account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn person(&self, name: &PersonName) -> Result<Option<Person>, StoreError> {
        let row = sqlx::query(PERSON)
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| person_of_row(&row)).transpose()
    }

    /// Stores a person, with a code that invites them if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_person(
        &self,
        person: &Person,
        code: Option<&Code>,
        audit: Audit,
    ) -> Result<PersonCreated, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if !insert(connection, person, None).await? {
            return Ok(PersonCreated::AlreadyThere);
        }
        if count_up(connection, "people", 1).await? > PEOPLE_MAX {
            return Ok(PersonCreated::Full);
        }
        if let Some(code) = code {
            insert_code(connection, name_of(&person.who), code).await?;
        }
        writer.commit(&[audit]).await?;
        Ok(PersonCreated::Created)
    }

    /// Makes the first person who can manage people, with `roles` everywhere, in nobody's name; `false`
    /// when there is one already.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when the name is taken; or when the database fails.
    pub async fn create_first_admin(
        &self,
        person: &Person,
        password: Option<&str>,
        roles: &[Role],
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if has_admin(connection).await? {
            return Ok(false);
        }
        let name = name_of(&person.who);
        if insert(connection, person, password).await? {
            count_up(connection, "people", 1).await?;
        } else if password.is_some() {
            let why = "is taken by somebody; choose another one".to_owned();
            return Err(StoreError::Invalid { field: "name", why });
        }
        for role in roles {
            let grant = Grant {
                id: GrantId(format!("first-{role}")),
                subject: Subject::Person(name.clone()),
                role: *role,
                scope: Scope::default(),
                until: None,
            };
            let granted = Granted {
                grant,
                created_at: person.created_at,
                created_by: person.created_by.clone(),
            };
            grants::insert(connection, &granted).await?;
            count_up(connection, "grants", 1).await?;
        }
        let detail = json!({"roles": roles});
        let at = person.created_at;
        let subject = format!("person/{name}");
        let audit = Audit::of_pointsman("person.create_first_admin", subject, detail, at);
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// The password of a person who may sign in, as argon2id wrote it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn password(&self, name: &PersonName) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(PASSWORD)
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        let password = row.map(|row| row.try_get("password").doing(READING));
        Ok(password.transpose()?.flatten())
    }

    /// Sets the password of a person and ends all their sessions but `kept`; `false` when they have none
    /// with us.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_password(
        &self,
        name: &PersonName,
        password: &str,
        kept: Option<&str>,
        at: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let set = sqlx::query(SET_PASSWORD)
            .bind(name.as_str())
            .bind(password)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        crate::sessions::end_all(writer.connection(), name, kept).await?;
        let audit = Audit::own(name, "password.change", json!({}), at);
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// Replaces what codes a person has by this one; `false` (and no audit event) when there is no such
    /// person.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_code(
        &self,
        name: &PersonName,
        code: &Code,
        audit: Audit,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        let row = sqlx::query(PERSON)
            .bind(name.as_str())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        if row.is_none() {
            return Ok(false);
        }
        insert_code(connection, name, code).await?;
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// As [`Store::put_code`], for oneself.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_own_code(
        &self,
        name: &PersonName,
        code: &Code,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let audit = Audit::own(name, "session.make_link", json!({}), now);
        self.put_code(name, code, audit).await
    }

    /// Disables somebody, which ends their sessions and their codes, or enables them again; `false` (and
    /// no audit event) when there is no such person.
    ///
    /// # Errors
    /// [`StoreError::LastAdmin`]; or when the database fails.
    pub async fn set_disabled(
        &self,
        name: &PersonName,
        disabled_at: Option<UnixMs>,
        audit: Audit,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        let set = sqlx::query(SET_DISABLED)
            .bind(name.as_str())
            .bind(disabled_at.map(|at| at.0))
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        if disabled_at.is_some() {
            grants::another_admin(connection, "", name.as_str()).await?;
            crate::sessions::end_all(connection, name, None).await?;
            end_codes(connection, name).await?;
        }
        writer.commit(&[audit]).await?;
        Ok(true)
    }
}

/// The name of somebody.
fn name_of(who: &Who) -> &PersonName {
    match who {
        Who::Person(name) | Who::ServiceAccount(name) => name,
    }
}

async fn has_admin(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let row = sqlx::query(ADMIN)
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    Ok(row.is_some())
}

/// `false` when the name or the identity is taken.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    person: &Person,
    password: Option<&str>,
) -> Result<bool, StoreError> {
    check_text("created_by", &person.created_by, TEXT_BYTES_MAX)?;
    check_text("subject", &person.subject, TEXT_BYTES_MAX)?;
    let inserted = sqlx::query(INSERT)
        .bind(name_of(&person.who).as_str())
        .bind(kind_of(&person.who))
        .bind(person.team.as_ref().map(|team| team.as_str()))
        .bind(person.provider.as_str())
        .bind(person.subject.as_str())
        .bind(password)
        .bind(person.created_at.0)
        .bind(person.created_by.as_str())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(inserted.rows_affected() == 1)
}

/// One code a person; the one before no longer counts, and what has ended goes.
async fn insert_code(
    connection: &mut AnyConnection,
    person: &PersonName,
    code: &Code,
) -> Result<(), StoreError> {
    end_codes(connection, person).await?;
    sqlx::query(CODE)
        .bind(code.hash.to_string())
        .bind(person.as_str())
        .bind(code.ends_at.0)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

async fn end_codes(connection: &mut AnyConnection, person: &PersonName) -> Result<(), StoreError> {
    sqlx::query(END_CODES)
        .bind(person.as_str())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

/// Codes that have ended go.
pub(crate) async fn end_old_codes(
    connection: &mut AnyConnection,
    now: UnixMs,
) -> Result<(), StoreError> {
    sqlx::query(END_OLD_CODES)
        .bind(now.0)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

/// Who somebody is, by the columns `name` (or the one that is named) and `kind`.
pub(crate) fn who_of_row(row: &AnyRow, column: &str) -> Result<Who, StoreError> {
    let name: String = row.try_get(column).doing(READING)?;
    let kind: String = row.try_get("kind").doing(READING)?;
    let name: PersonName = parsed("person", &name)?;
    match kind.as_str() {
        "person" => Ok(Who::Person(name)),
        "service_account" => Ok(Who::ServiceAccount(name)),
        _ => Err(StoreError::Corrupt {
            what: format!("person {name}"),
            why: format!("{kind:?} is no kind of people"),
        }),
    }
}

fn person_of_row(row: &AnyRow) -> Result<Person, StoreError> {
    let team: Option<String> = row.try_get("team").doing(READING)?;
    let password: Option<String> = row.try_get("password").doing(READING)?;
    let subject: Option<String> = row.try_get("subject").doing(READING)?;
    let time = |column| row.try_get::<Option<i64>, _>(column).doing(READING);
    Ok(Person {
        who: who_of_row(row, "name")?,
        team: team.map(|name| parsed("person", &name)).transpose()?,
        provider: row.try_get("provider").doing(READING)?,
        subject: subject.unwrap_or_default(),
        has_password: password.is_some(),
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
        signed_in_at: time("signed_in_at")?.map(UnixMs),
        disabled_at: time("disabled_at")?.map(UnixMs),
    })
}
