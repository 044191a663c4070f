//! A person's hold on an environment.

use std::collections::BTreeMap;

use domain::{catalogue::Kind, governance::Lock, names::EnvironmentName, time::UnixMs};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError, catalogue,
    query::Select,
    values::{Doing, check_text},
};

/// Longest reason for a lock, a withdrawal or a command, in bytes.
pub const REASON_BYTES_MAX: usize = 4096;

const SELECT: &str = "select held_by, since, reason from locks where environment = $1";
const SELECT_ALL: &str = "select * from locks where environment in";
const UPSERT: &str = "insert into locks (environment, held_by, since, reason)
    values ($1, $2, $3, $4)
    on conflict (environment) do update set
    held_by = excluded.held_by, since = excluded.since, reason = excluded.reason";
const DELETE: &str = "delete from locks where environment = $1";
const DOING: &str = "locking an environment";

impl Store {
    /// Locks an environment, and returns the lock that was there before and is replaced.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] environment, [`StoreError::Invalid`] reason, or when the database
    /// fails.
    pub async fn lock(
        &self,
        environment: &EnvironmentName,
        lock: &Lock,
        audit: Audit,
    ) -> Result<Option<Lock>, StoreError> {
        check_text("by", &lock.by, crate::audit::TEXT_BYTES_MAX)?;
        check_text("reason", &lock.reason, REASON_BYTES_MAX)?;
        let mut writer = self.audited().await?;
        let kind = Kind::Environment;
        catalogue::must_exist(writer.connection(), kind, environment.as_str()).await?;
        let before = lock_in(writer.connection(), environment).await?;
        sqlx::query(UPSERT)
            .bind(environment.as_str())
            .bind(lock.by.as_str())
            .bind(lock.since.0)
            .bind(lock.reason.as_str())
            .execute(writer.connection())
            .await
            .doing(DOING)?;
        writer.commit(&[audit]).await?;
        Ok(before)
    }

    /// Lifts the lock, and returns it; `None` (and no audit event) when there was none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unlock(
        &self,
        environment: &EnvironmentName,
        audit: Audit,
    ) -> Result<Option<Lock>, StoreError> {
        let mut writer = self.audited().await?;
        let Some(before) = lock_in(writer.connection(), environment).await? else {
            return Ok(None);
        };
        sqlx::query(DELETE)
            .bind(environment.as_str())
            .execute(writer.connection())
            .await
            .doing(DOING)?;
        writer.commit(&[audit]).await?;
        Ok(Some(before))
    }

    /// The locks of these environments, as far as there are any, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn locks_of(
        &self,
        environments: &[&str],
    ) -> Result<BTreeMap<String, Lock>, StoreError> {
        if environments.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut select = Select::new(SELECT_ALL);
        select.bind_all(environments.iter().copied());
        let mut connection = self.readers.acquire().await.doing(DOING)?;
        let rows = select.all(&mut connection, DOING).await?;
        let locks = rows.iter().map(|row| {
            let environment: String = row.try_get("environment").doing(DOING)?;
            Ok((environment, lock_of_row(row).doing(DOING)?))
        });
        locks.collect()
    }

    /// The lock of an environment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lock_of(&self, environment: &EnvironmentName) -> Result<Option<Lock>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(DOING)?;
        lock_in(&mut connection, environment).await
    }
}

pub(crate) async fn lock_in(
    connection: &mut AnyConnection,
    environment: &EnvironmentName,
) -> Result<Option<Lock>, StoreError> {
    let row = sqlx::query(SELECT)
        .bind(environment.as_str())
        .fetch_optional(connection)
        .await
        .doing(DOING)?;
    row.map(|row| lock_of_row(&row).doing(DOING)).transpose()
}

fn lock_of_row(row: &AnyRow) -> Result<Lock, sqlx::Error> {
    Ok(Lock {
        by: row.try_get("held_by")?,
        since: UnixMs(row.try_get("since")?),
        reason: row.try_get("reason")?,
    })
}
