//! Keeping the answer of a POST, so that asking again with the same key is answered the same.

use domain::access::Via;
use store::idempotency::Kept;

use super::{Desk, Error};

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = store::idempotency::KEY_BYTES_MAX;
/// Largest answer that is kept, in bytes.
pub const ANSWER_BYTES_MAX: usize = store::idempotency::ANSWER_BYTES_MAX;

/// The answer to a request with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Names the request: another request with the same key is a mistake.
    pub request_hash: String,
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Desk {
    /// The answer that is kept for this key of this principal.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn kept_answer(&self, key: &str) -> Result<Option<KeptAnswer>, Error> {
        let own = self.own();
        let name = &self.credential();
        let kept = own.store().idempotent(name, key, own.now()).await?;
        Ok(kept.map(|kept| KeptAnswer {
            request_hash: kept.request_hash,
            status: kept.status,
            body: kept.body,
        }))
    }

    /// Whose answer it is: what one token was answered is not shown to another one.
    fn credential(&self) -> String {
        match self.principal().via() {
            Via::Owner | Via::Session(_) => self.principal().name().to_owned(),
            Via::Token(id) => format!("{}/{}", self.principal().name(), id.0),
        }
    }

    /// Keeps an answer for a day.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_answer(&self, key: &str, answer: KeptAnswer) -> Result<(), Error> {
        let own = self.own();
        let kept = Kept {
            request_hash: answer.request_hash,
            status: answer.status,
            body: answer.body,
        };
        let name = &self.credential();
        own.store().keep(name, key, kept, own.now()).await?;
        Ok(())
    }
}
