//! What can go wrong in the store, in sentences for people.

use domain::{catalogue::Kind, governance::Objection, names::DeploymentId};

/// Why the store did not do what was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("the database {url} cannot be opened: {why}")]
    Open {
        /// Which, without its password.
        url: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The database belongs to a newer Pointsman.
    #[error(
        "the database has schema version {found}, this Pointsman knows versions up to {known}: start the newer Pointsman again, or restore the backup from before the upgrade"
    )]
    TooNew {
        /// Schema version of the database.
        found: i64,
        /// Newest schema version that this program knows.
        known: i64,
    },
    /// A migration that was applied differs from the one in this program.
    #[error(
        "migration {version} of the database is not the one in this program: the database was made by another build of Pointsman"
    )]
    MigrationChanged {
        /// Which migration.
        version: i64,
    },
    /// The database answered with an error, or not in time. Asking again may help.
    #[error("the database failed while {doing}: {}", said(.source))]
    Database {
        /// What this layer was doing.
        doing: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database cannot be written now. Asking again may help.
    #[error("the database cannot be written: {why}")]
    NotWritable {
        /// What the database said.
        why: String,
    },
    /// A stored record cannot be read.
    #[error("the stored {what} cannot be read: {why}; restore it from a backup")]
    Corrupt {
        /// Which record.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something is larger than what is kept.
    #[error("{what} has {bytes} bytes; at most {limit} are kept")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// Most bytes allowed.
        limit: usize,
    },
    /// An argument makes no sense.
    #[error("{field} {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No such thing.
    #[error("there is no {what}")]
    Unknown {
        /// What was asked for, such as `service shop`.
        what: String,
    },
    /// A catalogue entry changed since it was read.
    #[error("{} changed meanwhile: {}", display(.kind, .name), versions(.expected, .found))]
    VersionMismatch {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// The version that the caller knows; 0: it should not exist.
        expected: i64,
        /// The stored version; `None`: it does not exist.
        found: Option<i64>,
    },
    /// A catalogue entry names something that does not exist.
    #[error("{} refers to the {}, which is not in the catalogue", display(.kind, .name), display(.to_kind, .to_name))]
    MissingReference {
        /// Kind of the entry that refers.
        kind: Kind,
        /// Its name.
        name: String,
        /// Kind of what is missing.
        to_kind: Kind,
        /// Name of what is missing.
        to_name: String,
    },
    /// A catalogue entry cannot go while others need it.
    #[error("{} is still needed by {}", display(.kind, .name), list(.by))]
    Referenced {
        /// Kind of the entry that should go.
        kind: Kind,
        /// Its name.
        name: String,
        /// Who needs it (at most [`crate::catalogue::REFERRERS_MAX`]).
        by: Vec<Referrer>,
    },
    /// One deployment at a time: this one runs at the place already.
    #[error("deployment {0} is running there already")]
    AlreadyRunning(DeploymentId),
    /// Nobody could manage people any more.
    #[error(
        "this would leave nobody who can manage people: somebody needs the role `admin` everywhere, for good"
    )]
    LastAdmin,
    /// The facts changed since governance said yes, and it says no now.
    #[error("refused: {}", list(.0))]
    Refused(Vec<Objection>),
    /// Somebody else changed it since it was read; read it again and decide anew.
    #[error("{what} changed meanwhile; look again")]
    Superseded {
        /// What changed.
        what: String,
    },
}

/// Who needs a catalogue entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Referrer {
    /// Another entry.
    Entry {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// A release of the service.
    Release {
        /// `service version`.
        name: String,
    },
    /// A deployment that runs.
    Deployment {
        /// Which.
        id: DeploymentId,
    },
    /// A release that is live.
    Live {
        /// `service.environment`.
        place: String,
    },
    /// A person's hold on the environment.
    Lock {
        /// Who holds it.
        by: String,
    },
}

impl std::fmt::Display for Referrer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entry { kind, name } => write!(f, "{kind} {name}"),
            Self::Release { name } => write!(f, "release {name}"),
            Self::Deployment { id } => write!(f, "running deployment {id}"),
            Self::Live { place } => write!(f, "the release that is live in {place}"),
            Self::Lock { by } => write!(f, "the lock of {by}"),
        }
    }
}

/// What the database said, without the driver's words around it.
pub(crate) fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::PoolTimedOut => "no connection became free in time".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the database may just be starting: nobody listens yet, or it says so.
pub(crate) fn is_starting(error: &sqlx::Error) -> bool {
    /// PostgreSQL's `cannot_connect_now`, and SQLite's `SQLITE_BUSY`.
    const NOT_YET: [&str; 2] = ["57P03", "5"];
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|it| NOT_YET.contains(&&*it)),
        _ => false,
    }
}

fn display(kind: &Kind, name: &str) -> String {
    format!("{kind} {name}")
}

fn versions(expected: &i64, found: &Option<i64>) -> String {
    let expected = match expected {
        0 => "it should not exist".to_owned(),
        version => format!("you know version {version}"),
    };
    let found = found.map_or("it does not exist".to_owned(), |v| {
        format!("version {v} is stored")
    });
    format!("{expected}, {found}; read it again")
}

fn list<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
