//! Changing the catalogue: all changes of a batch, or none.
//!
//! Invariant: after a commit every reference leads to an entry. The foreign keys say so too; what is
//! asked here is asked to tell people who refers to whom.

use std::collections::BTreeSet;

use domain::catalogue::Kind;
use sqlx::{AnyConnection, Row};

use super::{BODY_BYTES_MAX, CHANGES_MAX, Change, REFERENCES_MAX, referrers, unknown};
use crate::{
    Audit, Store, StoreError,
    values::{Doing, check_text, json},
};

const CHANGING: &str = "changing the catalogue";
const NAME_BYTES_MAX: usize = 128;

const VERSION: &str = "select version from catalogue where kind = $1 and name = $2";
const COUNT: &str = "select count(*) as entries from catalogue where kind = $1";
const NEXT_VERSIONS: &str =
    "update counters set value = value + $1 where name = 'catalogue' returning value";
const PUT: &str = "insert into catalogue
    (kind, name, body, version, environment, instances, updated_at, updated_by)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (kind, name) do update set
    body = excluded.body, version = excluded.version, instances = excluded.instances,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by";
const DELETE: &str = "delete from catalogue where kind = $1 and name = $2";
const FORGET: &str = "delete from catalogue_references where from_kind = $1 and from_name = $2";
const REFER: &str = "insert into catalogue_references (from_kind, from_name, to_kind, to_name)
    values ($1, $2, $3, $4)";

/// The parts of a [`Change::Put`].
struct Put<'a> {
    kind: Kind,
    name: &'a str,
    body: String,
    references: BTreeSet<&'a (Kind, String)>,
    instances: u32,
    version: i64,
}

impl Store {
    /// Makes all changes, or none. Their order does not matter: references are checked against the
    /// catalogue as it is afterwards. Returns the new version of each change (0 for deletes). The
    /// first audit event says who did it, and when; without changes nothing is written.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`], [`StoreError::MissingReference`],
    /// [`StoreError::Referenced`], [`StoreError::Unknown`], [`StoreError::Invalid`],
    /// [`StoreError::TooLarge`], or when the database fails.
    pub async fn put_and_delete(
        &self,
        changes: &[Change],
        audit: &[Audit],
    ) -> Result<Vec<i64>, StoreError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let Some(who) = audit.first() else {
            return Err(invalid(
                "audit",
                "has no event: say who changes the catalogue",
            ));
        };
        check_batch(changes)?;
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        for change in changes {
            check_version(connection, change).await?;
        }
        let mut next = next_versions(connection, changes.len()).await?;
        let mut versions = Vec::with_capacity(changes.len());
        for change in changes {
            versions.push(match Put::of(change, next)? {
                Some(put) => {
                    next += 1;
                    put.write(connection, who).await?
                }
                None => delete(connection, change).await?,
            });
        }
        check_references(connection, changes).await?;
        check_room(connection, changes).await?;
        writer.commit(audit).await?;
        Ok(versions)
    }
}

impl Change {
    fn kind(&self) -> Kind {
        match self {
            Self::Put { kind, .. } | Self::Delete { kind, .. } => *kind,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Put { name, .. } | Self::Delete { name, .. } => name,
        }
    }
}

fn invalid(field: &'static str, why: &str) -> StoreError {
    let why = why.to_owned();
    StoreError::Invalid { field, why }
}

/// What can be said without the database.
fn check_batch(changes: &[Change]) -> Result<(), StoreError> {
    if changes.len() > CHANGES_MAX {
        let why = format!("are {}; at most {CHANGES_MAX} at once", changes.len());
        return Err(invalid("changes", &why));
    }
    let mut seen = BTreeSet::new();
    for change in changes {
        check_text("name", change.name(), NAME_BYTES_MAX)?;
        if !seen.insert((change.kind(), change.name())) {
            let why = format!("name the {} {} twice", change.kind(), change.name());
            return Err(invalid("changes", &why));
        }
        if let Change::Put {
            kind,
            name,
            references,
            instances,
            ..
        } = change
        {
            check_put(*kind, name, references, *instances)?;
        }
    }
    Ok(())
}

fn check_put(
    kind: Kind,
    name: &str,
    references: &[(Kind, String)],
    instances: u32,
) -> Result<(), StoreError> {
    if references.len() > REFERENCES_MAX {
        let why = format!("are {}; at most {REFERENCES_MAX}", references.len());
        return Err(invalid("references", &why));
    }
    for (_, name) in references {
        check_text("references", name, NAME_BYTES_MAX)?;
    }
    if kind != Kind::ServerGroup {
        return match instances {
            0 => Ok(()),
            _ => Err(invalid("instances", "belong to server groups only")),
        };
    }
    let Some((service, environment)) = name.split_once('.') else {
        return Err(invalid(
            "name",
            "of a server group is `service.environment`",
        ));
    };
    let refers = |kind, name| references.iter().any(|r| r.0 == kind && r.1 == name);
    if refers(Kind::Service, service) && refers(Kind::Environment, environment) {
        Ok(())
    } else {
        Err(invalid(
            "references",
            "of a server group include its service and its environment",
        ))
    }
}

/// The entry is as the caller knows it.
async fn check_version(connection: &mut AnyConnection, change: &Change) -> Result<(), StoreError> {
    let (kind, name) = (change.kind(), change.name());
    let expected = match change {
        Change::Put {
            expected_version: None,
            ..
        } => return Ok(()),
        Change::Put {
            expected_version, ..
        }
        | Change::Delete {
            expected_version, ..
        } => *expected_version,
    };
    let row = sqlx::query(VERSION)
        .bind(kind.as_str())
        .bind(name)
        .fetch_optional(connection)
        .await
        .doing(CHANGING)?;
    let found: Option<i64> = row
        .map(|row| row.try_get("version").doing(CHANGING))
        .transpose()?;
    match (expected, found) {
        (None, None) => Err(unknown(kind, name)),
        (Some(expected), found) if expected != found.unwrap_or(0) => {
            Err(StoreError::VersionMismatch {
                kind,
                name: name.to_owned(),
                expected,
                found,
            })
        }
        _ => Ok(()),
    }
}

/// Sets `count` versions aside and returns the first.
async fn next_versions(connection: &mut AnyConnection, count: usize) -> Result<i64, StoreError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query(NEXT_VERSIONS)
        .bind(count)
        .fetch_one(connection)
        .await
        .doing(CHANGING)?;
    let last: i64 = row.try_get("value").doing(CHANGING)?;
    Ok(last - count + 1)
}

impl<'a> Put<'a> {
    /// `None` when `change` is a delete.
    fn of(change: &'a Change, version: i64) -> Result<Option<Self>, StoreError> {
        let Change::Put {
            kind,
            name,
            body,
            references,
            instances,
            ..
        } = change
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind: *kind,
            name,
            body: json("catalogue entry", body, BODY_BYTES_MAX)?,
            references: references.iter().collect(),
            instances: *instances,
            version,
        }))
    }

    async fn write(self, connection: &mut AnyConnection, who: &Audit) -> Result<i64, StoreError> {
        let environment = match self.kind {
            Kind::ServerGroup => self
                .name
                .split_once('.')
                .map(|(_, environment)| environment),
            _ => None,
        };
        sqlx::query(PUT)
            .bind(self.kind.as_str())
            .bind(self.name)
            .bind(self.body)
            .bind(self.version)
            .bind(environment)
            .bind(i64::from(self.instances))
            .bind(who.at().0)
            .bind(who.actor())
            .execute(&mut *connection)
            .await
            .doing(CHANGING)?;
        forget(connection, self.kind, self.name).await?;
        for (to_kind, to_name) in self.references {
            sqlx::query(REFER)
                .bind(self.kind.as_str())
                .bind(self.name)
                .bind(to_kind.as_str())
                .bind(to_name.as_str())
                .execute(&mut *connection)
                .await
                .doing(CHANGING)?;
        }
        Ok(self.version)
    }
}

async fn delete(connection: &mut AnyConnection, change: &Change) -> Result<i64, StoreError> {
    forget(connection, change.kind(), change.name()).await?;
    sqlx::query(DELETE)
        .bind(change.kind().as_str())
        .bind(change.name())
        .execute(connection)
        .await
        .doing(CHANGING)?;
    Ok(0)
}

/// An entry that is replaced or deleted refers to nothing any more.
async fn forget(connection: &mut AnyConnection, kind: Kind, name: &str) -> Result<(), StoreError> {
    sqlx::query(FORGET)
        .bind(kind.as_str())
        .bind(name)
        .execute(connection)
        .await
        .doing(CHANGING)?;
    Ok(())
}

/// Looks at the catalogue as it is after all changes.
async fn check_references(
    connection: &mut AnyConnection,
    changes: &[Change],
) -> Result<(), StoreError> {
    let mut found = BTreeSet::new();
    for change in changes {
        match change {
            Change::Delete { kind, name, .. } => {
                let by = referrers::of(connection, *kind, name).await?;
                if !by.is_empty() {
                    let (kind, name) = (*kind, name.clone());
                    return Err(StoreError::Referenced { kind, name, by });
                }
            }
            Change::Put {
                kind,
                name,
                references,
                ..
            } => {
                for reference in references {
                    if found.insert(reference) && !exists(connection, reference).await? {
                        return Err(StoreError::MissingReference {
                            kind: *kind,
                            name: name.clone(),
                            to_kind: reference.0,
                            to_name: reference.1.clone(),
                        });
                    }
                }
            }
        }
    }
    Ok(())
}

/// Of a kind that is read whole there are not too many.
async fn check_room(connection: &mut AnyConnection, changes: &[Change]) -> Result<(), StoreError> {
    let kinds: BTreeSet<Kind> = changes.iter().map(Change::kind).collect();
    for kind in kinds {
        let Some(most) = kind.words().most else {
            continue;
        };
        let row = sqlx::query(COUNT)
            .bind(kind.as_str())
            .fetch_one(&mut *connection)
            .await
            .doing(CHANGING)?;
        let entries: i64 = row.try_get("entries").doing(CHANGING)?;
        if entries > i64::from(most) {
            let why = format!("has room for {most} {}; delete some", kind.words().plural);
            return Err(invalid("the catalogue", &why));
        }
    }
    Ok(())
}

async fn exists(
    connection: &mut AnyConnection,
    (kind, name): &(Kind, String),
) -> Result<bool, StoreError> {
    let row = sqlx::query(VERSION)
        .bind(kind.as_str())
        .bind(name.as_str())
        .fetch_optional(connection)
        .await
        .doing(CHANGING)?;
    Ok(row.is_some())
}
