//! Tokens of people: who may come in besides the one who started the server.
//!
//! Invariant: a token is known only to the one who made it; only its SHA-256 is stored.

use domain::{
    access::{PersonName, Resource, Right},
    release::Digest,
    time::UnixMs,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use store::access::{TOKENS_MAX, TokenCreated, TokenHolder};

use super::{Desk, Error, Operations, Page};

/// Random bytes of a token.
const RANDOM_LEN: usize = 32;

/// A person with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub person: PersonName,
    /// When the token was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// A new token: the only time that anybody sees it.
#[derive(Clone)]
pub struct NewToken {
    /// Whose.
    pub holder: Holder,
    /// What to show at the door.
    pub token: String,
}

impl Operations {
    /// The person who shows this token, if it is a person's. For the door, which knows nobody yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn whose(&self, token: &str) -> Result<Option<PersonName>, Error> {
        Ok(self.store().token_holder(&hash(token)).await?)
    }
}

impl Desk {
    /// Makes a token for a person.
    ///
    /// # Errors
    /// [`Error::Exists`] when the person has one; [`Error::Busy`] when there are too many.
    pub async fn create_token(&self, person: PersonName) -> Result<NewToken, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let token = random()?;
        let holder = TokenHolder {
            person,
            created_at: permit.now(),
            created_by: permit.principal().to_owned(),
        };
        let audit = permit.audit("token.create", &subject(&holder.person), json!({}));
        let hash = hash(&token);
        let created = permit.store().create_token(&holder, &hash, audit);
        match created.await? {
            TokenCreated::Created => Ok(NewToken {
                holder: Holder::of(holder),
                token,
            }),
            TokenCreated::AlreadyThere => Err(Error::Exists {
                what: format!("{} has a token", holder.person),
            }),
            TokenCreated::Full => Err(Error::Busy {
                what: "tokens",
                limit: usize::try_from(TOKENS_MAX).unwrap_or(usize::MAX),
            }),
        }
    }

    /// People with tokens in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tokens(
        &self,
        after: Option<&PersonName>,
        limit: u32,
    ) -> Result<Page<Holder>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let fetch = Page::<Holder>::fetch(limit);
        let holders = permit.store().token_holders(after, fetch).await?;
        let holders = holders.into_iter().map(Holder::of).collect();
        Ok(Page::of(holders, limit, |holder: &Holder| {
            holder.person.to_string()
        }))
    }

    /// Takes the token of a person away: the next request that shows it is refused.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the person has none.
    pub async fn revoke_token(&self, person: &PersonName) -> Result<(), Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let audit = permit.audit("token.revoke", &subject(person), json!({}));
        if permit.store().revoke_token(person, audit).await? {
            return Ok(());
        }
        Err(Error::Unknown {
            what: format!("token of {person}"),
        })
    }
}

impl Holder {
    fn of(holder: TokenHolder) -> Self {
        Self {
            person: holder.person,
            created_at: holder.created_at,
            created_by: holder.created_by,
        }
    }
}

fn subject(person: &PersonName) -> String {
    format!("token/{person}")
}

fn hash(token: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(token.as_bytes()).into())
}

fn random() -> Result<String, Error> {
    let mut bytes = [0; RANDOM_LEN];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        Error::Internal {
            doing: "making a token",
        }
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
