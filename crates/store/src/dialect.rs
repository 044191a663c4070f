//! What truly differs between SQLite and PostgreSQL. Nothing else in this crate asks which it is.
//!
//! Invariant: a text here exists twice because it cannot be written once.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Connection,
    any::{AnyConnectOptions, AnyPoolOptions},
};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A file, or memory. One writer at a time.
    Sqlite {
        /// Only the one connection sees it.
        in_memory: bool,
    },
    /// A server, shared with other replicas.
    Postgres,
}

/// Connections for reading SQLite; each is a thread of its own.
const SQLITE_READERS: u32 = 4;
/// Connections of one replica to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long a caller waits for a connection, and with SQLite for its turn to write.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// WAL lets readers go on while somebody writes. How much a power cut may take is said with each
/// transaction.
const SQLITE_WRITER: &str = "pragma journal_mode = wal; pragma foreign_keys = on; pragma busy_timeout = 10000; pragma journal_size_limit = 67108864;";
const SQLITE_READER: &str =
    "pragma query_only = on; pragma foreign_keys = on; pragma busy_timeout = 10000;";
/// A replica that hangs in a transaction must not hold the others up for ever.
const POSTGRES_SESSION: &str = "set statement_timeout = '30s'; set lock_timeout = '20s';
    set idle_in_transaction_session_timeout = '30s'; set client_min_messages = 'warning';";

/// SQLite has no row locks and needs none: the claimer holds the only writer.
const CLAIM_SQLITE: &str = "update deployments
    set lease_engine = $1, lease_beat = lease_beat + 1, attended_at = $2
    where id in (select id from deployments
                 where finished = 0 and lease_engine is null
                 and ($4 like '%,' || provider || ',%' or $4 like '%,' || cloud || ',%')
                 order by attended_at, id limit $3)
    returning id, record";
/// Without `skip locked` two claimers would wait for each other's rows, in any order. Materialised,
/// so that the rows are chosen once, whatever the planner likes.
const CLAIM_POSTGRES: &str = "with unattended as materialized
        (select id from deployments
         where finished = 0 and lease_engine is null
         and ($4 like '%,' || provider || ',%' or $4 like '%,' || cloud || ',%')
         order by attended_at, id limit $3 for update skip locked)
    update deployments set lease_engine = $1, lease_beat = lease_beat + 1, attended_at = $2
    where id in (select id from unattended)
    returning id, record";

const APPEND_ONLY_SQLITE: &str = "
    create trigger audit_events_no_update before update on audit_events
        begin select raise(abort, 'the audit log is append-only'); end;
    create trigger audit_events_no_delete before delete on audit_events
        begin select raise(abort, 'the audit log is append-only'); end;";
const APPEND_ONLY_POSTGRES: &str = "
    create function audit_events_append_only() returns trigger language plpgsql as
        $$ begin raise exception 'the audit log is append-only'; end $$;
    create trigger audit_events_no_update before update on audit_events
        for each row execute function audit_events_append_only();
    create trigger audit_events_no_delete before delete on audit_events
        for each row execute function audit_events_append_only();
    create trigger audit_events_no_truncate before truncate on audit_events
        for each statement execute function audit_events_append_only();";

impl Dialect {
    /// Reads a database URL: which dialect it is, and how to connect.
    pub(crate) fn of(url: &str) -> Result<(Self, AnyConnectOptions), String> {
        let scheme = url.split(':').next().unwrap_or_default();
        let (dialect, url) = match scheme {
            "sqlite" => {
                let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
                if path.is_empty() || path.contains('?') {
                    return Err("write sqlite:PATH, without parameters".to_owned());
                }
                let in_memory = path == ":memory:";
                let mode = if in_memory { "" } else { "?mode=rwc" };
                (Self::Sqlite { in_memory }, format!("sqlite:{path}{mode}"))
            }
            "postgres" | "postgresql" => (Self::Postgres, url.to_owned()),
            _ => {
                return Err("it must start with sqlite: or postgres://".to_owned());
            }
        };
        let options = AnyConnectOptions::from_str(&url).map_err(|error| error.to_string())?;
        Ok((dialect, options))
    }

    /// The same, for connections that fail where the file of the database is not there.
    pub(crate) fn existing(self, options: &AnyConnectOptions) -> AnyConnectOptions {
        let mut options = options.clone();
        if self == (Self::Sqlite { in_memory: false }) {
            options.database_url.set_query(Some("mode=rw"));
        }
        options
    }

    /// The pool that writes. SQLite allows one writer, so there is one, and the others queue fairly.
    pub(crate) fn writers(self) -> AnyPoolOptions {
        match self {
            Self::Sqlite { .. } => pool(1, SQLITE_WRITER)
                .min_connections(1)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None),
            Self::Postgres => pool(POSTGRES_CONNECTIONS, POSTGRES_SESSION),
        }
    }

    /// The pool that only reads; `None`: the writers read as well.
    pub(crate) fn readers(self) -> Option<AnyPoolOptions> {
        match self {
            Self::Sqlite { in_memory: false } => Some(
                pool(SQLITE_READERS, SQLITE_READER)
                    .test_before_acquire(false)
                    .idle_timeout(None)
                    .max_lifetime(None),
            ),
            Self::Sqlite { in_memory: true } | Self::Postgres => None,
        }
    }

    /// Shows whether the database is one: SQLite reads a file only when it is asked for something.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => {
                "pragma busy_timeout = 2000; select count(*) from sqlite_master;"
            }
            Self::Postgres => "select 1;",
        }
    }

    /// Begins a transaction that writes. SQLite takes the write lock at once: a read that is
    /// followed by a write could otherwise fail half-way with "database is locked".
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "pragma synchronous = full; begin immediate",
            Self::Postgres => "begin isolation level read committed",
        }
    }

    /// Begins a transaction that only touches leases. It does not wait for the disk: a lease that a
    /// power cut takes away is claimed anew, and there is one such write per turn.
    pub(crate) fn begin_lease(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "pragma synchronous = normal; begin immediate",
            Self::Postgres => {
                "begin isolation level read committed; set local synchronous_commit = off"
            }
        }
    }

    /// Begins a transaction in which every query sees the same moment.
    pub(crate) fn begin_read(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "begin deferred",
            Self::Postgres => "begin isolation level repeatable read, read only",
        }
    }

    /// Lets one audited transaction run at a time, as SQLite does anyway. Held until commit.
    /// The number is arbitrary; it only has to be the same in every replica.
    pub(crate) fn serialise(self) -> Option<&'static str> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres => Some("select pg_advisory_xact_lock(7235016001)"),
        }
    }

    /// Takes leases that nobody holds: engine, now, limit, and what the engine drives, each between two commas.
    pub(crate) fn claim(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => CLAIM_SQLITE,
            Self::Postgres => CLAIM_POSTGRES,
        }
    }

    /// A migration's text. PostgreSQL orders text by language unless told not to; names and ids are
    /// ordered by bytes in both.
    pub(crate) fn migration(self, sql: &'static str) -> String {
        match self {
            Self::Sqlite { .. } => sql.to_owned(),
            Self::Postgres => sql
                .replace(" text", " text collate \"C\"")
                .replace(" blob", " bytea"),
        }
    }

    /// Makes the database refuse to change what is in the audit log.
    pub(crate) fn append_only(self) -> &'static str {
        match self {
            Self::Sqlite { .. } => APPEND_ONLY_SQLITE,
            Self::Postgres => APPEND_ONLY_POSTGRES,
        }
    }
}

/// A bounded pool whose connections are set up with `session`. A connection that is in a transaction
/// while nobody uses it is closed and replaced: SQLite rolls back by itself when the disk is full, and
/// the driver then believes for good that it is in one.
fn pool(connections: u32, session: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(session).execute(connection).await?;
                Ok(())
            })
        })
        .before_acquire(|connection, _| {
            let is_usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_usable) })
        })
}
