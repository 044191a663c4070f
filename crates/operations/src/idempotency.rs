//! Keeping the answer of a POST, so that asking again with the same key is answered the same.

use store::idempotency::Kept;

use super::{Actor, Error, Operations};

pub use store::idempotency::{ANSWER_BYTES_MAX, KEY_BYTES_MAX, Kept as KeptAnswer};

impl Operations {
    /// The answer that is kept for this key of this actor.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn kept_answer(&self, actor: &Actor, key: &str) -> Result<Option<Kept>, Error> {
        let now = self.now();
        Ok(self.store().idempotent(actor.name(), key, now).await?)
    }

    /// Keeps an answer for a day.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_answer(&self, actor: &Actor, key: &str, kept: Kept) -> Result<(), Error> {
        let now = self.now();
        self.store().keep(actor.name(), key, kept, now).await?;
        Ok(())
    }
}
