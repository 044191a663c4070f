//! The durable memory: catalogue, releases, deployments, locks, audit log, on SQLite or PostgreSQL.
//!
//! ```text
//! operations --> Store --> catalogue  locks  releases  deployments  access  audit  idempotency
//! engine ------> Journal --> journal ----------------------^
//!                              `--> pool (Writer, snapshot) --> dialect --> SQLite | PostgreSQL
//! ```
//!
//! Invariant: one SQL text for both databases; what truly differs is in `dialect.rs`.
//! Invariant: a mutation and its audit event are one transaction.
//! Invariant: nothing is kept that is larger than the limits named here and in the modules.

pub mod access;
pub mod audit;
pub mod catalogue;
pub mod deployments;
mod dialect;
mod error;
mod file;
pub mod grants;
pub mod groups;
pub mod idempotency;
pub mod identities;
mod journal;
pub mod locks;
mod migrate;
pub mod overview;
pub mod people;
mod pool;
mod preferences;
mod proofs;
mod pulse;
mod query;
pub mod refused;
pub mod releases;
pub mod servers;
pub mod sessions;
pub mod status;
pub mod tokens;
mod values;

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{AnyConnection, AnyPool, Connection, any::AnyConnectOptions};
use tokio::time::Instant;

use dialect::Dialect;
use file::DatabaseFile;
use pulse::Pulse;

pub use audit::Audit;
pub use error::{Referrer, StoreError};

/// Most rows that one call returns; larger limits are lowered to it.
pub const PAGE_MAX: u32 = 500;
/// How long a database may take to start before opening it fails, and between two attempts.
const STARTING_MAX: Duration = Duration::from_secs(10);
const STARTING_PAUSE: Duration = Duration::from_millis(500);

/// The durable memory of one control plane. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writers: AnyPool,
    readers: AnyPool,
    dialect: Dialect,
    options: Arc<AnyConnectOptions>,
    pulse: Pulse,
    file: Option<DatabaseFile>,
}

impl Store {
    /// Opens the database, and brings its schema up to date. Several replicas may do so at once.
    ///
    /// `url` is `sqlite:PATH`, `sqlite::memory:` (one connection, gone with the `Store`) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`. See [`sqlite_url`] for paths with odd characters.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::TooNew`], [`StoreError::MigrationChanged`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (dialect, options) = Dialect::of(url).map_err(|why| StoreError::Open {
            url: "of the settings".to_owned(),
            why,
        })?;
        let failed = |error: sqlx::Error| StoreError::Open {
            url: without_password(&options),
            why: error::said(&error),
        };
        reach(dialect, &options).await.map_err(failed)?;
        // The file is there now. Should it vanish, a later connection must not make an empty one: SQLite
        // would take the log of the old one away with it.
        let existing = dialect.existing(&options);
        let writers = dialect
            .writers()
            .connect_with(existing.clone())
            .await
            .map_err(failed)?;
        migrate::migrate(&writers, dialect).await?;
        let readers = match dialect.readers() {
            None => writers.clone(),
            Some(readers) => readers
                .connect_with(existing.clone())
                .await
                .map_err(failed)?,
        };
        let file = match dialect {
            Dialect::Sqlite { .. } => DatabaseFile::of(&writers).await?,
            Dialect::Postgres => None,
        };
        Ok(Self {
            writers,
            readers,
            dialect,
            options: Arc::new(existing),
            pulse: Pulse::default(),
            file,
        })
    }

    /// Makes a connection of its own, and closes it again: a pool only says that time ran out.
    async fn connect_once(&self) -> Result<(), sqlx::Error> {
        connect_once(self.dialect, &self.options).await
    }

    /// Finishes what is under way and closes all connections.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Connects once before the pools do, which keep the reason of a failure to themselves. A database
/// that is just starting gets some time.
async fn reach(dialect: Dialect, options: &AnyConnectOptions) -> Result<(), sqlx::Error> {
    let began = Instant::now();
    loop {
        match connect_once(dialect, options).await {
            Err(error) if error::is_starting(&error) && began.elapsed() < STARTING_MAX => {
                let why = error::said(&error);
                tracing::warn!(why, "the database does not answer yet; trying again");
                tokio::time::sleep(STARTING_PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn connect_once(dialect: Dialect, options: &AnyConnectOptions) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect_with(options).await?;
    sqlx::raw_sql(dialect.test())
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// The URL of a SQLite database in a file, for any path.
#[must_use]
pub fn sqlite_url(path: &Path) -> String {
    let mut url = "sqlite:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// The URL as it may be shown: without password, and without parameters, which may hold one.
fn without_password(options: &AnyConnectOptions) -> String {
    let mut url = options.database_url.clone();
    url.set_query(None);
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return url.scheme().to_owned();
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_become_urls() {
        let url = sqlite_url(Path::new("/tmp/a b%?#/é.db"));
        assert_eq!(url, "sqlite:/tmp/a%20b%25%3F%23/%C3%A9.db");
    }

    #[test]
    fn passwords_are_not_shown() {
        let (_, options) = Dialect::of("postgres://ann:secret@db/x?password=secret").unwrap();
        assert_eq!(without_password(&options), "postgres://ann:***@db/x");
    }
}
