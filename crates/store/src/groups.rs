//! Groups of people, to whom something can be granted at once.

use std::collections::BTreeMap;

use domain::{
    access::{GroupName, PersonName},
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, PAGE_MAX, Store, StoreError,
    query::Select,
    values::{Doing, count_up, page, parsed},
};

/// Most groups.
pub const GROUPS_MAX: i64 = 1_000;
/// Most members of a group.
pub const MEMBERS_MAX: usize = PAGE_MAX as usize;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Where its members are from: `local`, or the name of an identity provider.
    pub provider: String,
    /// What that provider calls it; `None` for a group of our own.
    pub provider_group: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupChanged {
    /// It is as it should be; `false`: it was before.
    Done(bool),
    /// There is no such person.
    UnknownPerson,
    /// There is no such group.
    UnknownGroup,
    /// An identity provider says who is in it.
    OfProvider(String),
    /// Somebody granted it something: remove those grants first.
    InUse,
    /// There is no room for more.
    Full,
}

const READING: &str = "reading groups";
const WRITING: &str = "changing groups";
const INSERT: &str =
    "insert into people_groups (name, provider, provider_group, created_at, created_by)
    values ($1, $2, $3, $4, $5) on conflict do nothing";
const GROUP: &str = "select * from people_groups where name = $1";
const MEMBERS: &str =
    "select person from group_members where group_name = $1 order by person limit $2";
const COUNTS: &str =
    "select group_name, count(*) as members from group_members where group_name in";
const MEMBERS_OF_ALL: &str = "select group_name, person from group_members where group_name in";
const ADD: &str = "insert into group_members (group_name, person) values ($1, $2)
    on conflict do nothing";
const REMOVE: &str = "delete from group_members where group_name = $1 and person = $2";
const PERSON: &str = "select name from people where name = $1 and kind = 'person'";
const GRANTED: &str =
    "select id from grants where subject_kind = 'group' and subject_name = $1 limit 1";
const EMPTY: &str = "delete from group_members where group_name = $1";
const DELETE: &str = "delete from people_groups where name = $1";

impl Store {
    /// Groups in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn groups(
        &self,
        after: Option<&GroupName>,
        limit: u32,
    ) -> Result<Vec<Group>, StoreError> {
        let mut select = Select::new("select * from people_groups where name >");
        select
            .bind(after.map_or("", GroupName::as_str))
            .push("order by name limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(group_of_row).collect()
    }

    /// The members of a group, in the order of their names; `None`: there is no such group.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn members(&self, group: &GroupName) -> Result<Option<Vec<PersonName>>, StoreError> {
        let mut moment = self.snapshot().await?;
        if !is_there(&mut moment, group).await? {
            return Ok(None);
        }
        members(&mut moment, group).await.map(Some)
    }

    /// How many members each of these groups has; without one, a group is left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(
        &self,
        groups: &[GroupName],
    ) -> Result<BTreeMap<GroupName, i64>, StoreError> {
        if groups.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(COUNTS);
        select.bind_all(groups.iter().map(GroupName::as_str));
        select.push("group by group_name");
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        let counts = rows.iter().map(|row| {
            let name: String = row.try_get("group_name").doing(READING)?;
            let count = row.try_get("members").doing(READING)?;
            Ok((parsed("group", &name)?, count))
        });
        counts.collect()
    }

    /// The members of these groups, in the order of groups and names: `limit` of them at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn members_of_all(
        &self,
        groups: &[GroupName],
        limit: u32,
    ) -> Result<Vec<(GroupName, PersonName)>, StoreError> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let mut select = Select::new(MEMBERS_OF_ALL);
        select.bind_all(groups.iter().map(GroupName::as_str));
        select
            .push("order by group_name, person limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        let members = rows.iter().map(|row| {
            let group: String = row.try_get("group_name").doing(READING)?;
            let person: String = row.try_get("person").doing(READING)?;
            Ok((parsed("group", &group)?, parsed("group", &person)?))
        });
        members.collect()
    }

    /// Makes a group.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_group(
        &self,
        group: &Group,
        audit: Audit,
    ) -> Result<GroupChanged, StoreError> {
        let mut writer = self.audited().await?;
        let inserted = sqlx::query(INSERT)
            .bind(group.name.as_str())
            .bind(group.provider.as_str())
            .bind(group.provider_group.as_deref())
            .bind(group.created_at.0)
            .bind(group.created_by.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        if inserted.rows_affected() == 0 {
            return Ok(GroupChanged::Done(false));
        }
        if count_up(writer.connection(), "groups", 1).await? > GROUPS_MAX {
            return Ok(GroupChanged::Full);
        }
        writer.commit(&[audit]).await?;
        Ok(GroupChanged::Done(true))
    }

    /// Adds a person to a group.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_member(
        &self,
        group: &GroupName,
        person: &PersonName,
        audit: Audit,
    ) -> Result<GroupChanged, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if let Some(refused) = not_ours(connection, group).await? {
            return Ok(refused);
        }
        let known = sqlx::query(PERSON)
            .bind(person.as_str())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        if known.is_none() {
            return Ok(GroupChanged::UnknownPerson);
        }
        if members(connection, group).await?.len() >= MEMBERS_MAX {
            return Ok(GroupChanged::Full);
        }
        let added = change(connection, ADD, group, person).await?;
        if added {
            writer.commit(&[audit]).await?;
        }
        Ok(GroupChanged::Done(added))
    }

    /// Removes a person from a group.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_member(
        &self,
        group: &GroupName,
        person: &PersonName,
        audit: Audit,
    ) -> Result<GroupChanged, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if let Some(refused) = not_ours(connection, group).await? {
            return Ok(refused);
        }
        let removed = change(connection, REMOVE, group, person).await?;
        if removed {
            writer.commit(&[audit]).await?;
        }
        Ok(GroupChanged::Done(removed))
    }

    /// Removes a group that nothing is granted to, and its memberships.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_group(
        &self,
        group: &GroupName,
        audit: Audit,
    ) -> Result<GroupChanged, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if !is_there(connection, group).await? {
            return Ok(GroupChanged::UnknownGroup);
        }
        let granted = sqlx::query(GRANTED)
            .bind(group.as_str())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        if granted.is_some() {
            return Ok(GroupChanged::InUse);
        }
        for delete in [EMPTY, DELETE] {
            sqlx::query(delete)
                .bind(group.as_str())
                .execute(&mut *connection)
                .await
                .doing(WRITING)?;
        }
        count_up(connection, "groups", -1).await?;
        writer.commit(&[audit]).await?;
        Ok(GroupChanged::Done(true))
    }
}

/// Whether the change changed anything.
async fn change(
    connection: &mut AnyConnection,
    query: &'static str,
    group: &GroupName,
    person: &PersonName,
) -> Result<bool, StoreError> {
    let changed = sqlx::query(query)
        .bind(group.as_str())
        .bind(person.as_str())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(changed.rows_affected() == 1)
}

/// Why the members of a group are not changed here; `None`: they may be.
async fn not_ours(
    connection: &mut AnyConnection,
    group: &GroupName,
) -> Result<Option<GroupChanged>, StoreError> {
    let row = sqlx::query(GROUP)
        .bind(group.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    let Some(row) = row else {
        return Ok(Some(GroupChanged::UnknownGroup));
    };
    let group = group_of_row(&row)?;
    Ok(group
        .provider_group
        .map(|_| GroupChanged::OfProvider(group.provider)))
}

async fn is_there(connection: &mut AnyConnection, group: &GroupName) -> Result<bool, StoreError> {
    let row = sqlx::query(GROUP)
        .bind(group.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    Ok(row.is_some())
}

async fn members(
    connection: &mut AnyConnection,
    group: &GroupName,
) -> Result<Vec<PersonName>, StoreError> {
    let rows = sqlx::query(MEMBERS)
        .bind(group.as_str())
        .bind(page(PAGE_MAX))
        .fetch_all(connection)
        .await
        .doing(READING)?;
    rows.iter()
        .map(|row| {
            let name: String = row.try_get("person").doing(READING)?;
            parsed("group", &name)
        })
        .collect()
}

fn group_of_row(row: &AnyRow) -> Result<Group, StoreError> {
    let name: String = row.try_get("name").doing(READING)?;
    Ok(Group {
        name: parsed("group", &name)?,
        provider: row.try_get("provider").doing(READING)?,
        provider_group: row.try_get("provider_group").doing(READING)?,
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
    })
}
