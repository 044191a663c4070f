//! Releases: immutable, except that they can be withdrawn.

use domain::{
    catalogue::Kind,
    names::{ServiceName, Version},
    release::{Content, Digest, ImageId, Release, Withdrawal},
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    catalogue,
    locks::REASON_BYTES_MAX,
    query::Select,
    values::{Doing, bigint, check_text, page},
};

/// What became of a new release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    Created,
    /// The same version with the same content was there already; this is it.
    AlreadyThere(Release),
    /// The same version with other content is there; nothing was changed.
    Conflict(Release),
}

const READING: &str = "reading a release";
const WRITING: &str = "storing a release";
const SELECT: &str = "select * from releases where service = $1 and version = $2";
const INSERT: &str = "insert into releases
    (service, version, digest, image, size_bytes, created_at, created_by,
     withdrawn_at, withdrawn_by, withdrawn_reason)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const OLDER: &str = "and (created_at, version) < (select created_at, version from releases
    where service = $1 and version =";
const WITHDRAW: &str = "update releases
    set withdrawn_at = $3, withdrawn_by = $4, withdrawn_reason = $5
    where service = $1 and version = $2";

impl Store {
    /// Stores a release.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] service, [`StoreError::Invalid`], or when the database fails.
    pub async fn create_release(
        &self,
        release: &Release,
        audit: Audit,
    ) -> Result<Created, StoreError> {
        check_text("created_by", &release.created_by, TEXT_BYTES_MAX)?;
        if let Some(withdrawal) = &release.withdrawn {
            check_withdrawal(withdrawal)?;
        }
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        let (service, version) = (&release.service, &release.version);
        catalogue::must_exist(connection, Kind::Service, service.as_str()).await?;
        if let Some(there) = release_in(connection, service, version).await? {
            return Ok(match there.content == release.content {
                true => Created::AlreadyThere(there),
                false => Created::Conflict(there),
            });
        }
        insert(connection, release).await?;
        writer.commit(&[audit]).await?;
        Ok(Created::Created)
    }

    /// One release.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(
        &self,
        service: &ServiceName,
        version: &Version,
    ) -> Result<Option<Release>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        release_in(&mut connection, service, version).await
    }

    /// The releases of a service, newest first, after (older than) the version `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn releases(
        &self,
        service: &ServiceName,
        after: Option<&Version>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        let mut select = Select::new("select * from releases where service =");
        select.bind(service.as_str());
        if let Some(after) = after {
            select.push(OLDER).bind(after.as_str()).push(")");
        }
        select
            .push("order by created_at desc, version desc limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(release_of_row).collect()
    }

    /// Takes a release out of use, and returns it. One that is withdrawn already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] release, [`StoreError::Invalid`], or when the database fails.
    pub async fn withdraw(
        &self,
        service: &ServiceName,
        version: &Version,
        withdrawal: &Withdrawal,
        audit: Audit,
    ) -> Result<Release, StoreError> {
        check_withdrawal(withdrawal)?;
        let mut writer = self.audited().await?;
        let release = release_in(writer.connection(), service, version).await?;
        let mut release = release.ok_or_else(|| StoreError::Unknown {
            what: format!("release {service} {version}"),
        })?;
        if release.withdrawn.is_some() {
            return Ok(release);
        }
        sqlx::query(WITHDRAW)
            .bind(service.as_str())
            .bind(version.as_str())
            .bind(withdrawal.at.0)
            .bind(withdrawal.by.as_str())
            .bind(withdrawal.reason.as_str())
            .execute(writer.connection())
            .await
            .doing("withdrawing a release")?;
        writer.commit(&[audit]).await?;
        release.withdrawn = Some(withdrawal.clone());
        Ok(release)
    }
}

fn check_withdrawal(withdrawal: &Withdrawal) -> Result<(), StoreError> {
    check_text("by", &withdrawal.by, TEXT_BYTES_MAX)?;
    check_text("reason", &withdrawal.reason, REASON_BYTES_MAX)
}

async fn insert(connection: &mut AnyConnection, release: &Release) -> Result<(), StoreError> {
    let withdrawn = release.withdrawn.as_ref();
    sqlx::query(INSERT)
        .bind(release.service.as_str())
        .bind(release.version.as_str())
        .bind(release.content.digest().map(Digest::as_str))
        .bind(release.content.image().map(ImageId::as_str))
        .bind(bigint("size_bytes", release.size_bytes)?)
        .bind(release.created_at.0)
        .bind(release.created_by.as_str())
        .bind(withdrawn.map(|w| w.at.0))
        .bind(withdrawn.map(|w| w.by.as_str()))
        .bind(withdrawn.map(|w| w.reason.as_str()))
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

pub(crate) async fn release_in(
    connection: &mut AnyConnection,
    service: &ServiceName,
    version: &Version,
) -> Result<Option<Release>, StoreError> {
    let row = sqlx::query(SELECT)
        .bind(service.as_str())
        .bind(version.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|row| release_of_row(&row)).transpose()
}

fn release_of_row(row: &AnyRow) -> Result<Release, StoreError> {
    let service: String = row.try_get("service").doing(READING)?;
    let version: String = row.try_get("version").doing(READING)?;
    let digest: Option<String> = row.try_get("digest").doing(READING)?;
    let image: Option<String> = row.try_get("image").doing(READING)?;
    let size_bytes: i64 = row.try_get("size_bytes").doing(READING)?;
    let corrupt = |why: String| StoreError::Corrupt {
        what: "release".to_owned(),
        why,
    };
    Ok(Release {
        service: service.parse().map_err(|e| corrupt(format!("{e}")))?,
        version: version.parse().map_err(|e| corrupt(format!("{e}")))?,
        content: content(digest, image).map_err(corrupt)?,
        size_bytes: size_bytes.try_into().map_err(|e| corrupt(format!("{e}")))?,
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
        withdrawn: withdrawal_of_row(row)?,
    })
}

fn content(digest: Option<String>, image: Option<String>) -> Result<Content, String> {
    match (digest, image) {
        (Some(digest), None) => {
            let digest: Digest = digest.parse().map_err(|e| format!("{e}"))?;
            Ok(Content::package(digest))
        }
        (None, Some(image)) => {
            let image: ImageId = image.parse().map_err(|e| format!("{e}"))?;
            Ok(Content::Image { image })
        }
        _ => Err("it is neither a package nor an image".to_owned()),
    }
}

fn withdrawal_of_row(row: &AnyRow) -> Result<Option<Withdrawal>, StoreError> {
    let at: Option<i64> = row.try_get("withdrawn_at").doing(READING)?;
    let Some(at) = at else {
        return Ok(None);
    };
    Ok(Some(Withdrawal {
        at: UnixMs(at),
        by: row.try_get("withdrawn_by").doing(READING)?,
        reason: row.try_get("withdrawn_reason").doing(READING)?,
    }))
}
