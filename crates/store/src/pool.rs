//! Connections and transactions: who may write, who is serialised, who only reads.
//!
//! Invariant: an [`Audited`] transaction can only be committed together with its audit events, and
//! on both databases one such transaction runs at a time, from its first read to its commit. The
//! engine's own saves are [`Writer`]s: they compare before they set, so they may overlap.

use domain::time::UnixMs;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};

use crate::{Audit, Store, StoreError, audit, dialect::Dialect};

/// A transaction that writes. Dropped without a commit, it changes nothing.
pub(crate) struct Writer {
    transaction: Transaction<'static, Any>,
}

/// A transaction that writes together with audit events, one at a time.
pub(crate) struct Audited {
    writer: Writer,
}

impl Store {
    /// Begins a transaction that writes what is no person's doing.
    pub(crate) async fn write(&self) -> Result<Writer, StoreError> {
        Writer::begin(&self.writers, self.dialect.begin_write()).await
    }

    /// Begins a transaction that only touches leases, and does not wait for the disk.
    pub(crate) async fn lease(&self) -> Result<Writer, StoreError> {
        Writer::begin(&self.writers, self.dialect.begin_lease()).await
    }

    /// Begins a transaction that writes what is in the audit log.
    pub(crate) async fn audited(&self) -> Result<Audited, StoreError> {
        let mut writer = self.write().await?;
        writer.serialise(self.dialect).await?;
        Ok(Audited { writer })
    }

    /// Begins a transaction in which every query sees the same moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.readers
            .begin_with(self.dialect.begin_read())
            .await
            .doing("beginning to read")
    }
}

impl Writer {
    pub(crate) async fn begin(pool: &AnyPool, begin: &'static str) -> Result<Self, StoreError> {
        let transaction = pool
            .begin_with(begin)
            .await
            .doing("waiting for its turn to write")?;
        Ok(Self { transaction })
    }

    /// Waits until no other serialised transaction runs.
    pub(crate) async fn serialise(&mut self, dialect: Dialect) -> Result<(), StoreError> {
        if let Some(lock) = dialect.serialise() {
            sqlx::query(lock)
                .execute(self.connection())
                .await
                .doing("waiting for its turn to write")?;
        }
        Ok(())
    }

    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await.doing("committing")
    }
}

impl Audited {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        self.writer.connection()
    }

    /// Commits together with `audits`.
    pub(crate) async fn commit(mut self, audits: &[Audit]) -> Result<(), StoreError> {
        for event in audits {
            audit::append(self.connection(), event).await?;
        }
        self.writer.commit().await
    }
}

/// Says what this layer was doing when the database failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { doing, source })
    }
}

/// Refuses a text that is empty, too long, or that PostgreSQL cannot store.
pub(crate) fn check_text(
    field: &'static str,
    text: &str,
    bytes_max: usize,
) -> Result<(), StoreError> {
    let why = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > bytes_max {
        format!("is longer than {bytes_max} bytes")
    } else if text.contains('\0') {
        "contains a NUL character".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid { field, why })
}

/// Writes a value as JSON of a bounded size.
pub(crate) fn json<T: serde::Serialize>(
    what: &'static str,
    value: &T,
    limit: usize,
) -> Result<String, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| StoreError::Invalid {
        field: what,
        why: format!("cannot be written as JSON: {error}"),
    })?;
    let bytes = text.len();
    if bytes > limit {
        return Err(StoreError::TooLarge { what, bytes, limit });
    }
    Ok(text)
}

/// Reads a value that [`json`] wrote.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    what: impl FnOnce() -> String,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt {
        what: what(),
        why: error.to_string(),
    })
}

/// A number as the database keeps it.
pub(crate) fn bigint(field: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Invalid {
        field,
        why: format!("{number} is too large"),
    })
}

/// A page's limit as the database wants it.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.min(crate::PAGE_MAX))
}

/// A time as the database keeps it, `ms` later than `now`.
pub(crate) fn later(now: UnixMs, ms: u64) -> i64 {
    now.plus_ms(ms).0
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    async fn synchronous(mut writer: Writer) -> i64 {
        let row = sqlx::query("pragma synchronous")
            .fetch_one(writer.connection())
            .await
            .unwrap();
        row.get(0)
    }

    #[tokio::test]
    async fn only_leases_do_not_wait_for_the_disk() {
        const NORMAL: i64 = 1;
        const FULL: i64 = 2;
        let store = Store::open("sqlite::memory:").await.unwrap();
        for _ in 0..2 {
            assert_eq!(synchronous(store.write().await.unwrap()).await, FULL);
            assert_eq!(synchronous(store.lease().await.unwrap()).await, NORMAL);
            let audited = store.audited().await.unwrap();
            assert_eq!(synchronous(audited.writer).await, FULL);
        }
    }
}
