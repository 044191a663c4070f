//! The service catalogue: every kind of entries in one table, and who refers to whom.

mod change;
mod referrers;

use domain::{access::Visible, catalogue::Kind, time::UnixMs};
use serde_json::Value;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    PAGE_MAX, Store, StoreError,
    access::visible::Ways,
    query::Select,
    values::{Doing, page, parse},
};

/// Largest body of an entry, in bytes of JSON.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most changes in one call.
pub const CHANGES_MAX: usize = 10_000;
/// Most references of one entry.
pub const REFERENCES_MAX: usize = 1000;
/// Most referrers that an error names.
pub const REFERRERS_MAX: usize = 20;

/// One stored entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name, unique within the kind.
    pub name: String,
    /// The JSON of the domain type.
    pub body: Value,
    /// Changes with every put, never comes back, not even after a delete.
    pub version: i64,
    /// When it was last put.
    pub updated_at: UnixMs,
    /// Who put it.
    pub updated_by: String,
}

/// Which entries are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that refer to this one: the services of a team, the server groups of an
    /// environment.
    pub refers_to: Option<(Kind, String)>,
}

/// One change of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Create or replace an entry.
    Put {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// The JSON of the domain type.
        body: Value,
        /// What it refers to: must exist when all changes are made.
        references: Vec<(Kind, String)>,
        /// Server group: max(size, autoscaling.max). Else 0.
        instances: u32,
        /// Only if the stored version is this one; 0: only if there is none yet.
        expected_version: Option<i64>,
    },
    /// Remove an entry that nobody refers to.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Only if the stored version is this one.
        expected_version: Option<i64>,
    },
}

const READING: &str = "reading the catalogue";
const ENTRY: &str = "select * from catalogue where kind = $1 and name = $2";
const ENTRIES: &str = "select catalogue.* from catalogue where kind =";
const REFERRERS: &str = "select catalogue.* from catalogue_references join catalogue
    on catalogue.kind = from_kind and catalogue.name = from_name where from_kind =";

impl Store {
    /// The entries of a kind in the order of their names, after the name `after`; those that are visible.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(
        &self,
        (kind, filter): (Kind, &Filter),
        visible: &Visible,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        entries_in(&mut connection, (kind, filter), visible, after, limit).await
    }

    /// The entries of a kind with these names, as far as there are any, in the order of their names;
    /// [`PAGE_MAX`] at a time, however many are asked for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries_named(
        &self,
        kind: Kind,
        names: &[&str],
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut connection = self.readers.acquire().await.doing(READING)?;
        for names in names.chunks(PAGE_MAX as usize) {
            let mut select = Select::new(ENTRIES);
            select
                .bind(kind.as_str())
                .push("and name in")
                .bind_all(names.iter().copied())
                .push("order by name");
            let rows = select.all(&mut connection, READING).await?;
            for row in &rows {
                entries.push(entry_of_row(row)?);
            }
        }
        Ok(entries)
    }

    /// One entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entry(&self, kind: Kind, name: &str) -> Result<Option<Entry>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        entry_in(&mut connection, kind, name).await
    }
}

pub(crate) async fn entries_in(
    connection: &mut AnyConnection,
    (kind, filter): (Kind, &Filter),
    visible: &Visible,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    if visible.is_nothing() {
        return Ok(Vec::new());
    }
    let mut select = match &filter.refers_to {
        None => {
            let mut select = Select::new(ENTRIES);
            select.bind(kind.as_str()).when("and name >", after);
            select
        }
        Some((to_kind, to_name)) => {
            let mut select = Select::new(REFERRERS);
            select
                .bind(kind.as_str())
                .when("and to_kind =", Some(to_kind.as_str()))
                .when("and to_name =", Some(to_name.as_str()))
                .when("and from_name >", after);
            select
        }
    };
    if let Some(ways) = Ways::of(kind) {
        select.visible(ways, visible);
    }
    select.push("order by name limit").bind(page(limit));
    let rows = select.all(connection, READING).await?;
    rows.iter().map(entry_of_row).collect()
}

pub(crate) async fn entry_in(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query(ENTRY)
        .bind(kind.as_str())
        .bind(name)
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|row| entry_of_row(&row)).transpose()
}

/// Refuses what is about an entry that is not in the catalogue.
pub(crate) async fn must_exist(
    connection: &mut AnyConnection,
    kind: Kind,
    name: &str,
) -> Result<(), StoreError> {
    match entry_in(connection, kind, name).await? {
        Some(_) => Ok(()),
        None => Err(unknown(kind, name)),
    }
}

fn unknown(kind: Kind, name: &str) -> StoreError {
    StoreError::Unknown {
        what: format!("{kind} {name}"),
    }
}

/// The kind that is stored as `word`.
fn kind_of(word: &str) -> Result<Kind, StoreError> {
    Kind::find(|words| words.word == word).ok_or_else(|| StoreError::Corrupt {
        what: "catalogue entry".to_owned(),
        why: format!("{word:?} is no kind"),
    })
}

pub(crate) fn entry_of_row(row: &AnyRow) -> Result<Entry, StoreError> {
    let kind: String = row.try_get("kind").doing(READING)?;
    let name: String = row.try_get("name").doing(READING)?;
    let body: &str = row.try_get("body").doing(READING)?;
    Ok(Entry {
        kind: kind_of(&kind)?,
        body: parse(|| format!("{kind} {name}"), body)?,
        version: row.try_get("version").doing(READING)?,
        updated_at: UnixMs(row.try_get("updated_at").doing(READING)?),
        updated_by: row.try_get("updated_by").doing(READING)?,
        name,
    })
}
