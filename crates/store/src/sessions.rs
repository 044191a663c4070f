//! Sessions of browsers, and the codes that begin one.
//!
//! Invariant: of a session's secret and of a code only the SHA-256 is kept.
//! Invariant: a code is gone with its first use.

use domain::{
    access::{PersonName, SessionId},
    release::Digest,
    time::UnixMs,
};
use serde_json::json;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError, people,
    values::{Doing, parsed},
};

/// Most sessions of a person; the oldest makes room.
pub const SESSIONS_MAX: i64 = 20;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which one it is; not its secret.
    pub id: SessionId,
    /// Whose.
    pub person: PersonName,
    /// When it began.
    pub created_at: UnixMs,
    /// When it was used the last time, within a minute.
    pub seen_at: UnixMs,
    /// When it ends unless it is used.
    pub idle_ends_at: UnixMs,
    /// When it ends at the latest.
    pub ends_at: UnixMs,
    /// The address from which it was used the last time.
    pub seen_from: String,
    /// The identity provider that it is from; `None`: the person signed in with us.
    pub confirmed: Option<Confirmed>,
}

/// What an identity provider said of the person of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The provider.
    pub provider: String,
    /// With what it is asked again, sealed with the session's secret; `None`: it cannot be asked.
    pub renewal: Option<String>,
    /// When it was asked the last time.
    pub asked_at: UnixMs,
    /// When it said the last time that this is them.
    pub at: UnixMs,
}

const READING: &str = "reading sessions";
const WRITING: &str = "changing sessions";
const INSERT: &str = "insert into sessions
    (id, hash, person, created_at, seen_at, idle_ends_at, ends_at, seen_from,
     provider, renewal, asked_at, confirmed_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const SIGNED_IN: &str = "update people set signed_in_at = $2
    where name = $1 and kind = 'person' and disabled_at is null";
const OF_SECRET: &str = "select sessions.* from sessions join people on name = person
    where hash = $1 and ends_at > $2 and idle_ends_at > $2
      and kind = 'person' and disabled_at is null";
const OF_PERSON: &str = "select * from sessions where person = $1 and ends_at > $2
    and idle_ends_at > $2 order by created_at desc, id desc limit 100";
const SEEN: &str = "update sessions set seen_at = $2, idle_ends_at = $3, seen_from = $4
    where id = $1";
const ASK: &str = "update sessions set asked_at = $2 where id = $1 and asked_at <= $3";
const CONFIRM: &str =
    "update sessions set renewal = $2, asked_at = $3, confirmed_at = $4 where id = $1";
const END: &str = "delete from sessions where person = $1 and id = $2";
const END_SECRET: &str = "delete from sessions where hash = $1";
const END_ALL: &str = "delete from sessions where person = $1 and id <> $2";
const END_OLD: &str = "delete from sessions where ends_at <= $1";
const END_SURPLUS: &str = "delete from sessions where id in
    (select id from sessions where person = $1 order by created_at desc, id desc
     limit 1000 offset $2)";
const TAKE_CODE: &str = "delete from sign_in_codes where hash = $1 returning person, ends_at";

impl Store {
    /// Begins a session, and ends the one of the secret `old`; `false` (and nothing is changed) when the
    /// person may not sign in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_session(
        &self,
        session: &Session,
        hash: &Digest,
        old: Option<&Digest>,
        by: &'static str,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        if !signed_in(connection, session).await? {
            return Ok(false);
        }
        if let Some(old) = old {
            sqlx::query(END_SECRET)
                .bind(old.to_string())
                .execute(&mut *connection)
                .await
                .doing(WRITING)?;
        }
        insert(connection, session, hash).await?;
        make_room(connection, session).await?;
        let detail = json!({"session": session.id.0, "from": session.seen_from, "by": by});
        let audit = Audit::own(&session.person, "session.begin", detail, session.created_at);
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// The session with this secret, if it has not ended and its person is not disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, hash: &Digest, now: UnixMs) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query(OF_SECRET)
            .bind(hash.to_string())
            .bind(now.0)
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| session_of_row(&row)).transpose()
    }

    /// The sessions of a person that have not ended, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(
        &self,
        person: &PersonName,
        now: UnixMs,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = sqlx::query(OF_PERSON)
            .bind(person.as_str())
            .bind(now.0)
            .fetch_all(&self.readers)
            .await
            .doing(READING)?;
        rows.iter().map(session_of_row).collect()
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_seen(&self, session: &Session) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        sqlx::query(SEEN)
            .bind(session.id.0.as_str())
            .bind(session.seen_at.0)
            .bind(session.idle_ends_at.0)
            .bind(session.seen_from.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        writer.commit().await
    }

    /// Whether it is up to the caller to ask the provider of a session now: nobody did after `before`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask_again(
        &self,
        id: &SessionId,
        now: UnixMs,
        before: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut writer = self.write().await?;
        let asked = sqlx::query(ASK)
            .bind(id.0.as_str())
            .bind(now.0)
            .bind(before.0)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        writer.commit().await?;
        Ok(asked.rows_affected() == 1)
    }

    /// Notes what the provider of a session said.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn confirm_session(
        &self,
        id: &SessionId,
        confirmed: &Confirmed,
    ) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        sqlx::query(CONFIRM)
            .bind(id.0.as_str())
            .bind(confirmed.renewal.as_deref())
            .bind(confirmed.asked_at.0)
            .bind(confirmed.at.0)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        writer.commit().await
    }

    /// Ends one of a person's own sessions; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(
        &self,
        person: &PersonName,
        id: &SessionId,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let ended = sqlx::query(END)
            .bind(person.as_str())
            .bind(id.0.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        let audit = Audit::own(person, "session.end", json!({"session": id.0}), now);
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// Ends all sessions of a person, and says how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_own_sessions(
        &self,
        person: &PersonName,
        now: UnixMs,
    ) -> Result<u64, StoreError> {
        let audit = Audit::own(person, "session.end_all", json!({}), now);
        self.end_sessions(person, audit).await
    }

    /// Ends all sessions of a person in somebody else's name, and says how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_sessions(&self, person: &PersonName, audit: Audit) -> Result<u64, StoreError> {
        let mut writer = self.audited().await?;
        let ended = end_all(writer.connection(), person, None).await?;
        writer.commit(&[audit]).await?;
        Ok(ended)
    }

    /// Whose code this is, if it has not ended. It is gone then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_code(
        &self,
        hash: &Digest,
        now: UnixMs,
    ) -> Result<Option<PersonName>, StoreError> {
        let mut writer = self.write().await?;
        people::end_old_codes(writer.connection(), now).await?;
        let row = sqlx::query(TAKE_CODE)
            .bind(hash.to_string())
            .fetch_optional(writer.connection())
            .await
            .doing(WRITING)?;
        let person = row.map(|row| person_of_row(&row)).transpose()?;
        writer.commit().await?;
        Ok(person)
    }
}

/// Ends all sessions of a person but `kept`, and says how many.
pub(crate) async fn end_all(
    connection: &mut AnyConnection,
    person: &PersonName,
    kept: Option<&str>,
) -> Result<u64, StoreError> {
    let ended = sqlx::query(END_ALL)
        .bind(person.as_str())
        .bind(kept.unwrap_or_default())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(ended.rows_affected())
}

async fn signed_in(connection: &mut AnyConnection, session: &Session) -> Result<bool, StoreError> {
    let noted = sqlx::query(SIGNED_IN)
        .bind(session.person.as_str())
        .bind(session.created_at.0)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(noted.rows_affected() == 1)
}

async fn insert(
    connection: &mut AnyConnection,
    session: &Session,
    hash: &Digest,
) -> Result<(), StoreError> {
    let confirmed = session.confirmed.as_ref();
    sqlx::query(INSERT)
        .bind(session.id.0.as_str())
        .bind(hash.to_string())
        .bind(session.person.as_str())
        .bind(session.created_at.0)
        .bind(session.seen_at.0)
        .bind(session.idle_ends_at.0)
        .bind(session.ends_at.0)
        .bind(session.seen_from.as_str())
        .bind(confirmed.map(|it| it.provider.as_str()))
        .bind(confirmed.and_then(|it| it.renewal.as_deref()))
        .bind(confirmed.map(|it| it.asked_at.0))
        .bind(confirmed.map(|it| it.at.0))
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

/// What has ended goes, and what is more than a person may have.
async fn make_room(connection: &mut AnyConnection, session: &Session) -> Result<(), StoreError> {
    sqlx::query(END_OLD)
        .bind(session.created_at.0)
        .execute(&mut *connection)
        .await
        .doing(WRITING)?;
    sqlx::query(END_SURPLUS)
        .bind(session.person.as_str())
        .bind(SESSIONS_MAX)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

fn person_of_row(row: &AnyRow) -> Result<PersonName, StoreError> {
    let name: String = row.try_get("person").doing(READING)?;
    parsed("session", &name)
}

fn session_of_row(row: &AnyRow) -> Result<Session, StoreError> {
    let time = |column| row.try_get(column).map(UnixMs).doing(READING);
    Ok(Session {
        id: SessionId(row.try_get("id").doing(READING)?),
        person: person_of_row(row)?,
        created_at: time("created_at")?,
        seen_at: time("seen_at")?,
        idle_ends_at: time("idle_ends_at")?,
        ends_at: time("ends_at")?,
        seen_from: row.try_get("seen_from").doing(READING)?,
        confirmed: confirmed_of_row(row)?,
    })
}

fn confirmed_of_row(row: &AnyRow) -> Result<Option<Confirmed>, StoreError> {
    let provider: Option<String> = row.try_get("provider").doing(READING)?;
    let time = |column| row.try_get::<Option<i64>, _>(column).doing(READING);
    let (asked_at, at) = (time("asked_at")?, time("confirmed_at")?);
    let renewal = row.try_get("renewal").doing(READING)?;
    Ok(provider.map(|provider| Confirmed {
        provider,
        renewal,
        asked_at: UnixMs(asked_at.unwrap_or_default()),
        at: UnixMs(at.unwrap_or_default()),
    }))
}
