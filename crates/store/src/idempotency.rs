//! Answers that are kept for a day, so that a repeated POST gets the first one's answer.

use domain::time::UnixMs;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Store, StoreError,
    audit::TEXT_BYTES_MAX,
    values::{Doing, check_text, later},
};

/// How long an answer is kept, in milliseconds.
pub const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Largest body that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Hash of the request, so that a key used for another request is found out.
    pub request_hash: String,
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Store {
    /// The answer kept for this actor's key, unless it expired.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn idempotent(
        &self,
        actor: &str,
        key: &str,
        now: UnixMs,
    ) -> Result<Option<Kept>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(DOING)?;
        kept_in(&mut connection, actor, key, now).await
    }

    /// Keeps an answer for [`KEPT_MS`]. When another request with this key was faster, its answer
    /// stays and is returned.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Invalid`], or when the database fails.
    pub async fn keep(
        &self,
        actor: &str,
        key: &str,
        kept: Kept,
        now: UnixMs,
    ) -> Result<Kept, StoreError> {
        check_text("actor", actor, TEXT_BYTES_MAX)?;
        check_text("idempotency key", key, KEY_BYTES_MAX)?;
        check_text("request hash", &kept.request_hash, TEXT_BYTES_MAX)?;
        check_body(&kept.body)?;
        let mut writer = self.write().await?;
        writer.serialise(self.dialect).await?;
        sqlx::query(EXPIRE)
            .bind(now.0)
            .bind(EXPIRE_AT_ONCE)
            .execute(writer.connection())
            .await
            .doing(DOING)?;
        sqlx::query(INSERT)
            .bind(actor)
            .bind(key)
            .bind(kept.request_hash.as_str())
            .bind(i64::from(kept.status))
            .bind(kept.body.as_str())
            .bind(later(now, KEPT_MS))
            .bind(now.0)
            .execute(writer.connection())
            .await
            .doing(DOING)?;
        let stored = kept_in(writer.connection(), actor, key, now).await?;
        writer.commit().await?;
        Ok(stored.unwrap_or(kept))
    }
}

/// Expired answers that one call removes: more than one call adds, so they cannot pile up.
const EXPIRE_AT_ONCE: i64 = 20;
const DOING: &str = "keeping an answer";
const SELECT: &str = "select request_hash, status, body from idempotency
    where actor = $1 and key = $2 and expires_at > $3";
const EXPIRE: &str = "delete from idempotency where (actor, key) in
    (select actor, key from idempotency where expires_at <= $1 order by expires_at limit $2)";
const INSERT: &str = "insert into idempotency
    (actor, key, request_hash, status, body, expires_at) values ($1, $2, $3, $4, $5, $6)
    on conflict (actor, key) do update set
    request_hash = excluded.request_hash, status = excluded.status, body = excluded.body,
    expires_at = excluded.expires_at
    where idempotency.expires_at <= $7";

/// PostgreSQL cannot store NUL characters.
fn check_body(body: &str) -> Result<(), StoreError> {
    let (what, bytes, limit) = ("answer", body.len(), ANSWER_BYTES_MAX);
    if bytes > limit {
        return Err(StoreError::TooLarge { what, bytes, limit });
    }
    if body.contains('\0') {
        return Err(StoreError::Invalid {
            field: what,
            why: "contains a NUL character".to_owned(),
        });
    }
    Ok(())
}

async fn kept_in(
    connection: &mut AnyConnection,
    actor: &str,
    key: &str,
    now: UnixMs,
) -> Result<Option<Kept>, StoreError> {
    let row = sqlx::query(SELECT)
        .bind(actor)
        .bind(key)
        .bind(now.0)
        .fetch_optional(connection)
        .await
        .doing(DOING)?;
    row.map(|row| kept_of_row(&row)).transpose()
}

fn kept_of_row(row: &AnyRow) -> Result<Kept, StoreError> {
    let status: i64 = row.try_get("status").doing(DOING)?;
    Ok(Kept {
        request_hash: row.try_get("request_hash").doing(DOING)?,
        status: u16::try_from(status).map_err(|_| StoreError::Corrupt {
            what: "answer".to_owned(),
            why: format!("{status} is no HTTP status"),
        })?,
        body: row.try_get("body").doing(DOING)?,
    })
}
