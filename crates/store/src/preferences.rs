//! What people prefer: a JSON text with each person, which the store does not read.

use domain::{access::PersonName, time::UnixMs};
use serde_json::{Value, json};
use sqlx::Row;

use crate::{
    Audit, Store, StoreError,
    values::{Doing, json as written},
};

/// Largest preferences of a person, in bytes of JSON.
const BYTES_MAX: usize = 16 * 1024;
const READING: &str = "reading preferences";
const WRITING: &str = "changing preferences";
const READ: &str = "select preferences from people where name = $1";
const WRITE: &str = "update people set preferences = $2 where name = $1";

impl Store {
    /// What somebody prefers, as it was written; `None`: nothing was chosen yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn preferences(&self, person: &PersonName) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(READ)
            .bind(person.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        let text = row.map(|row| row.try_get("preferences").doing(READING));
        Ok(text.transpose()?.flatten())
    }

    /// Keeps what somebody prefers in place of what was `before`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; or when the database fails.
    pub async fn set_preferences(
        &self,
        person: &PersonName,
        after: &Value,
        before: &Value,
        at: UnixMs,
    ) -> Result<(), StoreError> {
        let text = written("preferences", after, BYTES_MAX)?;
        let mut writer = self.audited().await?;
        sqlx::query(WRITE)
            .bind(person.as_str())
            .bind(text)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        let detail = json!({ "before": before, "after": after });
        let audit = Audit::own(person, "preferences.put", detail, at);
        writer.commit(&[audit]).await
    }
}
