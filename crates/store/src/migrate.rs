//! Brings the schema up to date: a short ordered list, applied in one transaction.
//!
//! sqlx's own migrator is not used, because reading files at compile time needs its macros, which
//! compile SQLite a second time, and because its table needs types that the two databases write
//! differently.
//!
//! Invariant: a migration that was released is never edited; a change is a new file at the end.

use domain::release::Digest;
use sha2::{Digest as _, Sha256};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Row};

use crate::{StoreError, dialect::Dialect, pool::Writer, pulse::Pulse, values::Doing};

/// One step of the schema.
struct Migration {
    /// Counted from 1 without gaps.
    version: i64,
    name: &'static str,
    sql: &'static str,
    /// What must be said differently to each database.
    extra: fn(Dialect) -> &'static str,
}

/// Every migration, oldest first.
const MIGRATIONS: [Migration; 10] = [
    Migration {
        version: 1,
        name: "start",
        sql: include_str!("../migrations/0001_start.sql"),
        extra: Dialect::append_only,
    },
    Migration {
        version: 2,
        name: "access",
        sql: include_str!("../migrations/0002_access.sql"),
        extra: |_| "",
    },
    Migration {
        version: 3,
        name: "pulse",
        sql: include_str!("../migrations/0003_pulse.sql"),
        extra: |_| "",
    },
    Migration {
        version: 4,
        name: "servers",
        sql: include_str!("../migrations/0004_servers.sql"),
        extra: |_| "",
    },
    Migration {
        version: 5,
        name: "leases",
        sql: include_str!("../migrations/0005_leases.sql"),
        extra: |_| "",
    },
    Migration {
        version: 6,
        name: "people",
        sql: include_str!("../migrations/0006_people.sql"),
        extra: |_| "",
    },
    Migration {
        version: 7,
        name: "identities",
        sql: include_str!("../migrations/0007_identities.sql"),
        extra: |_| "",
    },
    Migration {
        version: 8,
        name: "clouds",
        sql: include_str!("../migrations/0008_clouds.sql"),
        extra: |_| "",
    },
    Migration {
        version: 9,
        name: "deployment_lists",
        sql: include_str!("../migrations/0009_deployment_lists.sql"),
        extra: |_| "",
    },
    Migration {
        version: 10,
        name: "preferences",
        sql: include_str!("../migrations/0010_preferences.sql"),
        extra: |_| "",
    },
];

const CREATE: &str = "create table if not exists migrations (
    version bigint primary key, name text not null, checksum text not null)";
const APPLIED: &str = "select version, checksum from migrations order by version";
const RECORD: &str = "insert into migrations (version, name, checksum) values ($1, $2, $3)";

/// Applies what is missing. Replicas that start at once wait for each other.
pub(crate) async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    apply(pool, dialect, &MIGRATIONS).await
}

async fn apply(
    pool: &AnyPool,
    dialect: Dialect,
    migrations: &[Migration],
) -> Result<(), StoreError> {
    let mut writer = Writer::begin(pool, dialect.begin_write(), &Pulse::default()).await?;
    writer.serialise(dialect).await?;
    let connection = writer.connection();
    sqlx::raw_sql(CREATE)
        .execute(&mut *connection)
        .await
        .doing("preparing the schema")?;
    let applied = check(connection, migrations).await?;
    for migration in migrations.iter().skip(applied) {
        run(connection, dialect, migration).await?;
    }
    writer.commit().await
}

/// Compares what was applied with what this program knows; returns how many were applied.
async fn check(
    connection: &mut AnyConnection,
    migrations: &[Migration],
) -> Result<usize, StoreError> {
    let rows = sqlx::query(APPLIED)
        .fetch_all(connection)
        .await
        .doing("reading the schema version")?;
    for (index, row) in rows.iter().enumerate() {
        let version: i64 = row.try_get("version").doing("reading the schema version")?;
        let checksum: String = row
            .try_get("checksum")
            .doing("reading the schema version")?;
        let Some(known) = migrations.get(index) else {
            let known = migrations.last().map_or(0, |last| last.version);
            return Err(StoreError::TooNew {
                found: version.max(known + 1),
                known,
            });
        };
        if known.version != version || known.checksum() != checksum {
            return Err(StoreError::MigrationChanged { version });
        }
    }
    Ok(rows.len())
}

async fn run(
    connection: &mut AnyConnection,
    dialect: Dialect,
    migration: &Migration,
) -> Result<(), StoreError> {
    let doing = "bringing the schema up to date";
    // Both texts are constants of this program.
    for sql in [
        dialect.migration(migration.sql),
        (migration.extra)(dialect).to_owned(),
    ] {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await
            .doing(doing)?;
    }
    sqlx::query(RECORD)
        .bind(migration.version)
        .bind(migration.name)
        .bind(migration.checksum())
        .execute(connection)
        .await
        .doing(doing)?;
    tracing::info!(
        migration.version,
        migration.name,
        "brought the schema up to date"
    );
    Ok(())
}

impl Migration {
    /// SHA-256 of the text, the same for both databases.
    fn checksum(&self) -> String {
        Digest::from_bytes(Sha256::digest(self.sql).into()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Migration = Migration {
        version: 2,
        name: "second",
        sql: "create table second (name text primary key);",
        extra: |_| "",
    };

    async fn memory() -> AnyPool {
        sqlx::any::install_default_drivers();
        let (dialect, options) = Dialect::of("sqlite::memory:").expect("a good URL");
        dialect
            .writers()
            .connect_with(options)
            .await
            .expect("memory opens")
    }

    fn start() -> Migration {
        let [first, ..] = MIGRATIONS;
        first
    }

    const SQLITE: Dialect = Dialect::Sqlite { in_memory: true };

    #[tokio::test]
    async fn a_second_version_is_applied_once_on_top_of_the_first() {
        let pool = memory().await;
        apply(&pool, SQLITE, &[start()]).await.unwrap();
        let first = start();
        let both = [first, SECOND];
        for _ in 0..2 {
            apply(&pool, SQLITE, &both).await.unwrap();
        }
        sqlx::raw_sql("insert into second (name) values ('it is there')")
            .execute(&pool)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let pool = memory().await;
        let first = start();
        apply(&pool, SQLITE, &[first, SECOND]).await.unwrap();
        let error = apply(&pool, SQLITE, &[start()]).await.unwrap_err();
        assert!(
            matches!(error, StoreError::TooNew { found: 2, known: 1 }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_edited_migration_is_refused() {
        let pool = memory().await;
        apply(&pool, SQLITE, &[start()]).await.unwrap();
        let mut edited = start();
        edited.sql = "create table other (name text primary key);";
        let error = apply(&pool, SQLITE, &[edited]).await.unwrap_err();
        assert!(
            matches!(error, StoreError::MigrationChanged { version: 1 }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_failed_migration_leaves_nothing_behind() {
        let pool = memory().await;
        let first = start();
        let broken = Migration {
            sql: "create table half (name text primary key); create nonsense;",
            ..SECOND
        };
        let error = apply(&pool, SQLITE, &[first, broken]).await.unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error}");
        apply(&pool, SQLITE, &[start()]).await.unwrap();
    }
}
