//! Everything that is known of one person or service account, for those who manage people.

use domain::{
    access::{Grant, GroupName, PersonName, Resource, Right},
    time::UnixMs,
};

use super::{Desk, Error, Operations, PAGE_MAX, people::Person, sessions::Session, tokens::Token};

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Who.
    pub person: Person,
    /// The groups that they are in, in the order of their names.
    pub groups: Vec<GroupName>,
    /// The grants that concern them, through groups too, even while they are disabled.
    pub grants: Vec<Grant>,
    /// Their sessions that have not ended, newest first.
    pub sessions: Vec<Session>,
    /// Their tokens: as many as one page holds.
    pub tokens: Vec<Token>,
    /// When all this was read.
    pub at: UnixMs,
}

impl Desk {
    /// What is known of one person or service account.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Denied`].
    pub async fn about(&self, name: &PersonName) -> Result<About, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        self.known_of(&permit, name).await
    }

    /// What is known of the principal.
    ///
    /// # Errors
    /// [`Error::Denied`] when the credential no longer counts.
    pub async fn about_me(&self) -> Result<About, Error> {
        let seeing = self.may_see(Right::View).await?;
        self.known_of(&seeing, self.principal().person()).await
    }

    async fn known_of(&self, operations: &Operations, name: &PersonName) -> Result<About, Error> {
        let person = operations.known_person(name).await?;
        let (store, at) = (operations.store(), operations.now());
        let (groups, grants) = store.held(&person.who).await?;
        let sessions = self.shown(store.sessions(name, at).await?);
        let tokens = store.tokens(Some(name), None, PAGE_MAX).await?;
        Ok(About {
            person,
            groups,
            grants,
            sessions,
            tokens: tokens.into_iter().map(Token::from).collect(),
            at,
        })
    }
}
