//! Times of the audit log as places in it.

use domain::time::UnixMs;
use sqlx::{AnyConnection, Row};

use super::{Filter, READING};
use crate::{StoreError, values::Doing};

const FIRST_AT: &str = "select seq from audit_events where at >= $1 order by at, seq limit 1";

/// Below which place, and from which place on, a filter looks, for who has read down to `before`.
pub(super) async fn bounds(
    connection: &mut AnyConnection,
    before: Option<i64>,
    filter: &Filter,
) -> Result<(i64, Option<i64>), StoreError> {
    let mut before = before.unwrap_or(i64::MAX);
    if let Some(until) = filter.until {
        before = before.min(first_at(connection, until).await?);
    }
    let from = match filter.from {
        Some(from) => Some(first_at(connection, from).await?),
        None => None,
    };
    Ok((before, from))
}

/// The first event at or after a time; after all events when there is none.
async fn first_at(connection: &mut AnyConnection, at: UnixMs) -> Result<i64, StoreError> {
    let row = sqlx::query(FIRST_AT)
        .bind(at.0)
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    let seq = row.map(|row| row.try_get("seq").doing(READING));
    Ok(seq.transpose()?.unwrap_or(i64::MAX))
}
