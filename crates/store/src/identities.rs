//! Identities of other providers: who is on the way to one, and who came back as whom.
//!
//! Invariant: a person is found by provider and subject, never by a name or an e-mail address.
//! Invariant: what a browser brings back counts once, and only in the browser that went.

use domain::{access::PersonName, access::Who, release::Digest, time::UnixMs};
use serde_json::json;
use sqlx::{AnyConnection, Row};

use crate::{
    Audit, Store, StoreError,
    people::{self, PEOPLE_MAX, Person},
    values::{Doing, count_up, parsed},
};

/// Most who are on the way at once; the oldest makes room.
pub const BEGUN_MAX: i64 = 10_000;

/// Somebody who went to an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The provider.
    pub provider: String,
    /// What the provider's token has to repeat.
    pub nonce: String,
    /// What proves that it is the same one who asks for the token (PKCE).
    pub verifier: String,
    /// The path to go to afterwards.
    pub next: String,
    /// When the answer comes too late.
    pub ends_at: UnixMs,
}

/// What became of somebody who came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identified {
    /// It is this person.
    Person(PersonName),
    /// There are too many people, or no free name for one more.
    Full,
}

const READING: &str = "reading identities";
const WRITING: &str = "changing identities";
const BEGIN: &str = "insert into sign_ins_begun
    (state, browser, provider, nonce, verifier, next, ends_at) values ($1, $2, $3, $4, $5, $6, $7)";
const END_OLD: &str = "delete from sign_ins_begun where ends_at <= $1";
const END_SURPLUS: &str = "delete from sign_ins_begun where state in
    (select state from sign_ins_begun where ends_at > $1
     order by ends_at desc, state desc limit 1000 offset $2)";
const TAKE: &str = "delete from sign_ins_begun where state = $1 and browser = $2 and ends_at > $3
    returning provider, nonce, verifier, next, ends_at";
const KNOWN: &str =
    "select name from people where provider = $1 and subject = $2 and kind = 'person'";
const GROUPS: &str = "select group_name from group_members
    join people_groups on people_groups.name = group_name
    where person = $1 and provider = $2 order by group_name";
const LEAVE: &str = "delete from group_members where person = $1 and group_name in
    (select name from people_groups where provider = $2 and provider_group is not null)";
const JOIN: &str = "insert into group_members (group_name, person)
    select name, $1 from people_groups where provider = $2 and provider_group = $3
    on conflict do nothing";

impl Store {
    /// Remembers who went to a provider, by the hashes of the state and of the browser's cookie.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_begun(
        &self,
        (state, browser): (&Digest, &Digest),
        begun: &Begun,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        let connection = writer.connection();
        sqlx::query(END_OLD)
            .bind(now.0)
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
        sqlx::query(END_SURPLUS)
            .bind(now.0)
            .bind(BEGUN_MAX - 1)
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
        sqlx::query(BEGIN)
            .bind(state.to_string())
            .bind(browser.to_string())
            .bind(begun.provider.as_str())
            .bind(begun.nonce.as_str())
            .bind(begun.verifier.as_str())
            .bind(begun.next.as_str())
            .bind(begun.ends_at.0)
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
        writer.commit().await
    }

    /// Who went there with this state from this browser, if it is not too late. It counts once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_begun(
        &self,
        (state, browser): (&Digest, &Digest),
        now: UnixMs,
    ) -> Result<Option<Begun>, StoreError> {
        let mut writer = self.write().await?;
        let row = sqlx::query(TAKE)
            .bind(state.to_string())
            .bind(browser.to_string())
            .bind(now.0)
            .fetch_optional(writer.connection())
            .await
            .doing(WRITING)?;
        let text = |row: &sqlx::any::AnyRow, column| row.try_get(column).doing(READING);
        let begun = row.map(|row| {
            Ok(Begun {
                provider: text(&row, "provider")?,
                nonce: text(&row, "nonce")?,
                verifier: text(&row, "verifier")?,
                next: text(&row, "next")?,
                ends_at: UnixMs(row.try_get("ends_at").doing(READING)?),
            })
        });
        let begun = begun.transpose()?;
        writer.commit().await?;
        Ok(begun)
    }

    /// Who this is: the person with that provider and subject, or a new one with the first of `names` that is
    /// free. They are in those of our groups that stand for `groups` of the provider; `None` leaves the
    /// groups as they are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn identified(
        &self,
        new: &Person,
        names: &[PersonName],
        groups: Option<&[String]>,
    ) -> Result<Identified, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        let mut audits = Vec::new();
        let name = match known(connection, new).await? {
            Some(name) => name,
            None => {
                let Some(name) = add(connection, new, names).await? else {
                    return Ok(Identified::Full);
                };
                let detail = json!({"provider": new.provider, "subject": new.subject});
                let subject = format!("person/{name}");
                let at = new.created_at;
                audits.push(Audit::of_pointsman("person.create", subject, detail, at));
                name
            }
        };
        if let Some(groups) = groups {
            let before = groups_of(connection, &name, &new.provider).await?;
            set_groups(connection, &name, &new.provider, groups).await?;
            let after = groups_of(connection, &name, &new.provider).await?;
            if before != after {
                let detail = json!({"provider": new.provider, "before": before, "after": after});
                let (subject, at) = (format!("person/{name}"), new.created_at);
                audits.push(Audit::of_pointsman("person.groups", subject, detail, at));
            }
        }
        writer.commit(&audits).await?;
        Ok(Identified::Person(name))
    }
}

async fn known(
    connection: &mut AnyConnection,
    person: &Person,
) -> Result<Option<PersonName>, StoreError> {
    let row = sqlx::query(KNOWN)
        .bind(person.provider.as_str())
        .bind(person.subject.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|row| {
        let name: String = row.try_get("name").doing(READING)?;
        parsed("person", &name)
    })
    .transpose()
}

/// The name of the new person; `None`: there is no room.
async fn add(
    connection: &mut AnyConnection,
    new: &Person,
    names: &[PersonName],
) -> Result<Option<PersonName>, StoreError> {
    if count_up(connection, "people", 1).await? > PEOPLE_MAX {
        return Ok(None);
    }
    for name in names {
        let person = Person {
            who: Who::Person(name.clone()),
            ..new.clone()
        };
        if people::insert(connection, &person, None).await? {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// The groups of ours that stand for some of the provider and that somebody is in.
async fn groups_of(
    connection: &mut AnyConnection,
    person: &PersonName,
    provider: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query(GROUPS)
        .bind(person.as_str())
        .bind(provider)
        .fetch_all(connection)
        .await
        .doing(READING)?;
    rows.iter()
        .map(|row| row.try_get("group_name").doing(READING))
        .collect()
}

async fn set_groups(
    connection: &mut AnyConnection,
    person: &PersonName,
    provider: &str,
    groups: &[String],
) -> Result<(), StoreError> {
    sqlx::query(LEAVE)
        .bind(person.as_str())
        .bind(provider)
        .execute(&mut *connection)
        .await
        .doing(WRITING)?;
    for group in groups {
        sqlx::query(JOIN)
            .bind(person.as_str())
            .bind(provider)
            .bind(group.as_str())
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
    }
    Ok(())
}
