//! Attempts that were refused: who tried what from where, counted by the hour.
//!
//! Invariant: however many there are, they take at most [`ROWS_MAX`] rows: an attacker cannot fill the
//! disk. What finds no room is counted as the attempts of all others.

use domain::time::UnixMs;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Store, StoreError,
    query::Select,
    values::{Doing, page},
};

/// Most rows of an hour.
pub const ROWS_OF_AN_HOUR_MAX: i64 = 200;
/// How long they are kept, in hours.
pub const KEPT_HOURS: i64 = 90 * 24;
/// Most rows of all.
pub const ROWS_MAX: i64 = 100_000;
/// Longest text of a row, in characters.
const TEXT_LEN_MAX: usize = 80;
const HOUR_MS: i64 = 3_600_000;
/// What is written for those that found no room.
const OTHERS: &str = "(others)";

/// Attempts of one kind, by one, from one address, within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was tried, such as `sign_in` or `denied:deploy`.
    pub what: String,
    /// Who tried it, as they said.
    pub who: String,
    /// From where: the address or its prefix.
    pub address: String,
    /// How often.
    pub times: i64,
    /// When for the first time.
    pub first_at: UnixMs,
    /// When for the last time.
    pub last_at: UnixMs,
}

const READING: &str = "reading refused attempts";
const WRITING: &str = "noting a refused attempt";
const COUNT_UP: &str = "update refused_attempts set times = times + $5, last_at = $6
    where hour = $1 and what = $2 and who = $3 and address = $4";
const INSERT: &str = "insert into refused_attempts
    (hour, what, who, address, times, first_at, last_at) values ($1, $2, $3, $4, $5, $6, $6)
    on conflict (hour, what, who, address) do update set
    times = refused_attempts.times + excluded.times, last_at = excluded.last_at";
const ROWS: &str = "select count(*) as found from refused_attempts where hour = $1";
const FORGET: &str = "delete from refused_attempts where hour < $1";

impl Store {
    /// Notes attempts that were refused.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_refused(&self, attempts: &[Refused]) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        for attempt in attempts {
            note(writer.connection(), attempt).await?;
        }
        writer.commit().await
    }

    /// Refused attempts, newest hour first, of hours before `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refused(
        &self,
        before: Option<UnixMs>,
        limit: u32,
    ) -> Result<Vec<Refused>, StoreError> {
        let mut select = Select::new("select * from refused_attempts where hour <");
        select
            .bind(before.map_or(i64::MAX, hour_of))
            .push("order by hour desc, what desc, who desc, address desc limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(refused_of_row).collect()
    }
}

fn hour_of(at: UnixMs) -> i64 {
    at.0.div_euclid(HOUR_MS)
}

async fn note(connection: &mut AnyConnection, attempt: &Refused) -> Result<(), StoreError> {
    let hour = hour_of(attempt.last_at);
    let short = |text: &str| -> String {
        let text = text.chars().filter(|c| !c.is_control());
        text.take(TEXT_LEN_MAX).collect()
    };
    let (who, address) = (short(&attempt.who), short(&attempt.address));
    let counted = sqlx::query(COUNT_UP)
        .bind(hour)
        .bind(attempt.what.as_str())
        .bind(who.as_str())
        .bind(address.as_str())
        .bind(attempt.times)
        .bind(attempt.last_at.0)
        .execute(&mut *connection)
        .await
        .doing(WRITING)?;
    if counted.rows_affected() == 1 {
        return Ok(());
    }
    let row = sqlx::query(ROWS)
        .bind(hour)
        .fetch_one(&mut *connection)
        .await
        .doing(READING)?;
    let rows: i64 = row.try_get("found").doing(READING)?;
    if rows == 0 {
        forget(connection, hour).await?;
    }
    let (what, who, address) = match rows < ROWS_OF_AN_HOUR_MAX {
        true => (attempt.what.as_str(), who.as_str(), address.as_str()),
        false => (OTHERS, OTHERS, OTHERS),
    };
    sqlx::query(INSERT)
        .bind(hour)
        .bind(what)
        .bind(who)
        .bind(address)
        .bind(attempt.times)
        .bind(attempt.last_at.0)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

/// With each new hour the oldest ones go, so that all of them stay within [`ROWS_MAX`].
async fn forget(connection: &mut AnyConnection, hour: i64) -> Result<(), StoreError> {
    let kept = KEPT_HOURS.min(ROWS_MAX / ROWS_OF_AN_HOUR_MAX);
    sqlx::query(FORGET)
        .bind(hour - kept)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

fn refused_of_row(row: &AnyRow) -> Result<Refused, StoreError> {
    let text = |column| row.try_get::<String, _>(column).doing(READING);
    let number = |column| row.try_get::<i64, _>(column).doing(READING);
    Ok(Refused {
        what: text("what")?,
        who: text("who")?,
        address: text("address")?,
        times: number("times")?,
        first_at: UnixMs(number("first_at")?),
        last_at: UnixMs(number("last_at")?),
    })
}
