//! Connections and transactions: who may write, who is serialised, who only reads.
//!
//! Invariant: an [`Audited`] transaction can only be committed together with its audit events, and
//! on both databases one such transaction runs at a time, from its first read to its commit. The
//! engine's own saves are [`Writer`]s: they compare before they set, so they may overlap.

use sqlx::{Any, AnyConnection, AnyPool, Transaction};

use crate::{
    Audit, Store, StoreError, audit,
    dialect::Dialect,
    pulse::{Beat, Pulse},
    values::Doing,
};

/// A transaction that writes. Dropped without a commit, it changes nothing.
pub(crate) struct Writer {
    transaction: Transaction<'static, Any>,
    beat: Beat,
}

/// A transaction that writes together with audit events, one at a time.
pub(crate) struct Audited {
    writer: Writer,
}

impl Store {
    /// Begins a transaction that writes what is no person's doing.
    pub(crate) async fn write(&self) -> Result<Writer, StoreError> {
        self.writer(self.dialect.begin_write()).await
    }

    /// Begins a transaction that only touches leases, and does not wait for the disk.
    pub(crate) async fn lease(&self) -> Result<Writer, StoreError> {
        self.writer(self.dialect.begin_lease()).await
    }

    async fn writer(&self, begin: &'static str) -> Result<Writer, StoreError> {
        if let Some(file) = &self.file {
            self.pulse.note(file.check())?;
        }
        Writer::begin(&self.writers, begin, &self.pulse).await
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
    pub(crate) async fn begin(
        pool: &AnyPool,
        begin: &'static str,
        pulse: &Pulse,
    ) -> Result<Self, StoreError> {
        let beat = pulse.begin();
        let begun = pool.begin_with(begin).await;
        let begun = begun.doing("waiting for its turn to write");
        if begun.is_err() {
            beat.heard(&begun);
        }
        let transaction = begun?;
        Ok(Self { transaction, beat })
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
        let committed = self.transaction.commit().await.doing("committing");
        self.beat.heard(&committed);
        committed
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
    async fn a_connection_whose_transaction_the_database_ended_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let url = crate::sqlite_url(&folder.path().join("full.db"));
        let store = Store::open(&url).await.unwrap();
        for _ in 0..3 {
            let mut writer = store.write().await.unwrap();
            let full = "pragma max_page_count = 1; insert into locks
                values ('live', 'ann', 1, cast(zeroblob(9000000) as text))";
            let failed = sqlx::raw_sql(full).execute(writer.connection()).await;
            let error = failed.doing("filling it").unwrap_err().to_string();
            assert!(error.contains("disk is full"), "{error}");
            drop(writer);
            for _ in 0..2 {
                store.write().await.unwrap().commit().await.unwrap();
            }
        }
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
