//! The service catalogue: five kinds of entries in one table, and who refers to whom.

use domain::time::UnixMs;
use serde_json::Value;

use crate::{Audit, Store, StoreError};

/// Largest body of an entry, in bytes of JSON.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most changes in one call.
pub const CHANGES_MAX: usize = 10_000;
/// Most referrers that an error names.
pub const REFERRERS_MAX: usize = 20;

/// The kinds of catalogue entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A team.
    Team,
    /// A service.
    Service,
    /// An environment type.
    EnvironmentType,
    /// An environment.
    Environment,
    /// A server group; its name is `service.environment`.
    ServerGroup,
}

impl Kind {
    /// Every kind, such that what is referred to comes before what refers.
    pub const ALL: [Self; 5] = [
        Self::Team,
        Self::EnvironmentType,
        Self::Service,
        Self::Environment,
        Self::ServerGroup,
    ];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Team => "team",
            Self::Service => "service",
            Self::EnvironmentType => "environment type",
            Self::Environment => "environment",
            Self::ServerGroup => "server group",
        })
    }
}

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

impl Store {
    /// The entries of a kind in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entries(
        &self,
        kind: Kind,
        filter: &Filter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        todo!("{kind} {filter:?} {after:?} {limit}")
    }

    /// One entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entry(&self, kind: Kind, name: &str) -> Result<Option<Entry>, StoreError> {
        todo!("{kind} {name}")
    }

    /// Makes all changes, or none. Their order does not matter: references are checked against the
    /// catalogue as it is afterwards. Returns the new version of each change (0 for deletes). The
    /// first audit event says who did it, and when.
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
        todo!("{changes:?} {audit:?}")
    }
}
