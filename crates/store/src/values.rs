//! Values as the database keeps them, with the errors of this layer.

use domain::time::UnixMs;
use sqlx::{AnyConnection, Row};

use crate::StoreError;

/// Says what this layer was doing when the database failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Database { doing, source })
    }
}

/// Refuses a text that is empty, too long, or that PostgreSQL cannot store.
pub(crate) fn check_text(
    field: &'static str,
    text: &str,
    bytes_max: usize,
) -> Result<(), StoreError> {
    let why = if text.is_empty() {
        "is empty".to_owned()
    } else if text.len() > bytes_max {
        format!("is longer than {bytes_max} bytes")
    } else if text.contains('\0') {
        "contains a NUL character".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Invalid { field, why })
}

/// Writes a value as JSON of a bounded size.
pub(crate) fn json<T: serde::Serialize>(
    what: &'static str,
    value: &T,
    limit: usize,
) -> Result<String, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| StoreError::Invalid {
        field: what,
        why: format!("cannot be written as JSON: {error}"),
    })?;
    let bytes = text.len();
    if bytes > limit {
        return Err(StoreError::TooLarge { what, bytes, limit });
    }
    Ok(text)
}

/// Reads a value that [`json`] wrote.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    what: impl FnOnce() -> String,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt {
        what: what(),
        why: error.to_string(),
    })
}

/// A number as the database keeps it.
pub(crate) fn bigint(field: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Invalid {
        field,
        why: format!("{number} is too large"),
    })
}

/// A page's limit as the database wants it.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.min(crate::PAGE_MAX))
}

/// A time as the database keeps it, `ms` later than `now`.
pub(crate) fn later(now: UnixMs, ms: u64) -> i64 {
    now.plus_ms(ms).0
}

/// What was stored as a name must be one.
pub(crate) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Corrupt {
        what: what.to_owned(),
        why: error.to_string(),
    })
}

/// Counts what is limited in number up or down, and returns how many there are then.
pub(crate) async fn count_up(
    connection: &mut AnyConnection,
    counter: &'static str,
    change: i64,
) -> Result<i64, StoreError> {
    let row = sqlx::query(COUNT)
        .bind(counter)
        .bind(change)
        .fetch_one(connection)
        .await
        .doing(COUNTING)?;
    row.try_get("value").doing(COUNTING)
}

const COUNTING: &str = "counting how many there are";
const COUNT: &str = "update counters set value = value + $2 where name = $1 returning value";
