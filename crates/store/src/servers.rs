//! What several servers of one database have in common: the cloud that everything lives in, and the
//! packages.
//!
//! Invariant: a package is there only when all of its parts are.

use domain::{catalogue::ProviderKind, release::Digest};
use sqlx::{Row, any::AnyRow};

use crate::{
    Store, StoreError,
    audit::TEXT_BYTES_MAX,
    dialect::Dialect,
    values::{Doing, check_text},
};

/// Largest part of a package, in bytes.
pub const PART_BYTES_MAX: usize = 1024 * 1024;

/// A cloud that belongs to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudHome {
    /// Its id, which no other cloud has.
    pub id: String,
    /// The machine, for people.
    pub host: String,
    /// Its state folder there, for people.
    pub folder: String,
}

const SETTLING: &str = "noting the cloud of this database";
const PACKING: &str = "keeping a package";
const CLOUD: &str = "select id, host, folder from clouds where kind = $1";
const SETTLE: &str = "insert into clouds (kind, id, host, folder) values ($1, $2, $3, $4)
    on conflict (kind) do update set id = excluded.id, host = excluded.host,
    folder = excluded.folder";
const HAS: &str = "select parts from packages where digest = $1";
const PART: &str = "insert into package_parts (digest, part, content) values ($1, $2, $3)
    on conflict (digest, part) do update set content = excluded.content";
const WHOLE: &str = "insert into packages (digest, parts) values ($1, $2)
    on conflict (digest) do update set parts = excluded.parts";
const READ: &str = "select content from package_parts where digest = $1 and part = $2";

impl Store {
    /// Whether servers on other machines may use the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// Notes that everything of this kind of provider lives in the cloud `home`. When another one is
    /// noted already, it stays and is returned, unless it is to be replaced.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_cloud(
        &self,
        kind: ProviderKind,
        home: &CloudHome,
        replace: bool,
    ) -> Result<Option<CloudHome>, StoreError> {
        for (field, text) in [("host", &home.host), ("folder", &home.folder)] {
            check_text(field, text, TEXT_BYTES_MAX)?;
        }
        let mut writer = self.write().await?;
        writer.serialise(self.dialect).await?;
        let row = sqlx::query(CLOUD)
            .bind(kind.as_str())
            .fetch_optional(writer.connection())
            .await
            .doing(SETTLING)?;
        let known = row.map(|row| home_of_row(&row)).transpose()?;
        if let Some(known) = known.filter(|known| known.id != home.id && !replace) {
            return Ok(Some(known));
        }
        sqlx::query(SETTLE)
            .bind(kind.as_str())
            .bind(home.id.as_str())
            .bind(home.host.as_str())
            .bind(home.folder.as_str())
            .execute(writer.connection())
            .await
            .doing(SETTLING)?;
        writer.commit().await?;
        Ok(None)
    }

    /// How many parts a package has; `None` when it is not there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn package_parts(&self, digest: &Digest) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(HAS)
            .bind(digest.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(PACKING)?;
        row.map(|row| row.try_get("parts").doing(PACKING))
            .transpose()
    }

    /// Keeps one part of a package, counted from 0, of at most [`PART_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], or when the database fails.
    pub async fn put_package_part(
        &self,
        digest: &Digest,
        part: i64,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let (what, bytes, limit) = ("part of a package", content.len(), PART_BYTES_MAX);
        if bytes > limit {
            return Err(StoreError::TooLarge { what, bytes, limit });
        }
        let mut writer = self.write().await?;
        sqlx::query(PART)
            .bind(digest.as_str())
            .bind(part)
            .bind(content)
            .execute(writer.connection())
            .await
            .doing(PACKING)?;
        writer.commit().await
    }

    /// Notes that all parts of a package are there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn package_is_whole(&self, digest: &Digest, parts: i64) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        sqlx::query(WHOLE)
            .bind(digest.as_str())
            .bind(parts)
            .execute(writer.connection())
            .await
            .doing(PACKING)?;
        writer.commit().await
    }

    /// One part of a package.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] part, or when the database fails.
    pub async fn package_part(&self, digest: &Digest, part: i64) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query(READ)
            .bind(digest.as_str())
            .bind(part)
            .fetch_optional(&self.readers)
            .await
            .doing(PACKING)?;
        let row = row.ok_or_else(|| StoreError::Unknown {
            what: format!("part {part} of the package {digest}"),
        })?;
        row.try_get("content").doing(PACKING)
    }
}

fn home_of_row(row: &AnyRow) -> Result<CloudHome, StoreError> {
    let text = |column| row.try_get::<String, _>(column).doing(SETTLING);
    Ok(CloudHome {
        id: text("id")?,
        host: text("host")?,
        folder: text("folder")?,
    })
}
