//! When the person of a session last proved who they are.

use domain::{
    access::{PersonName, SessionId},
    time::UnixMs,
};
use serde_json::json;
use sqlx::Row;

use crate::{Audit, Store, StoreError, values::Doing};

/// What is known of the person of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// When they last proved who they are: by signing in, or since.
    pub at: UnixMs,
    /// Whether they have a password.
    pub has_password: bool,
}

const READING: &str = "reading a session";
const WRITING: &str = "changing a session";
const PROOF: &str = "select sessions.created_at, proved_at, password from sessions
    join people on people.name = sessions.person where sessions.id = $1";
const PROVE: &str = "update sessions set proved_at = $3 where person = $1 and id = $2";

impl Store {
    /// When the person of a session last proved who they are; `None`: there is no such session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn proof(&self, session: &SessionId) -> Result<Option<Proof>, StoreError> {
        let row = sqlx::query(PROOF)
            .bind(session.0.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let began: i64 = row.try_get("created_at").doing(READING)?;
        let proved: Option<i64> = row.try_get("proved_at").doing(READING)?;
        let password: Option<String> = row.try_get("password").doing(READING)?;
        Ok(Some(Proof {
            at: UnixMs(proved.unwrap_or(began).max(began)),
            has_password: password.is_some(),
        }))
    }

    /// Notes that the person of a session proved who they are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prove_session(
        &self,
        person: &PersonName,
        session: &SessionId,
        at: UnixMs,
    ) -> Result<(), StoreError> {
        let mut writer = self.audited().await?;
        sqlx::query(PROVE)
            .bind(person.as_str())
            .bind(session.0.as_str())
            .bind(at.0)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        let detail = json!({ "session": session.0 });
        let audit = Audit::own(person, "session.prove", detail, at);
        writer.commit(&[audit]).await
    }
}
