//! What somebody does with what is theirs alone: their sessions, their password, a link for their browser.
//!
//! Invariant: nothing here reaches what belongs to somebody else, but for ending another person's sessions,
//! which needs the right `administer`.

use domain::{
    access::{Grant, PersonName, Resource, Right, SessionId, Via, Who},
    time::UnixMs,
};
use serde_json::json;
use store::{people::Code, sessions::Session as StoredSession};

use super::{
    Desk, Error,
    sign_in::{Password, Secret, SignInRefused, invalid},
};

/// A link to sign in counts for this time, in milliseconds.
pub const LINK_MS: u64 = 5 * 60 * 1000;

/// A session of a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Which one it is.
    pub id: SessionId,
    /// When it began.
    pub created_at: UnixMs,
    /// When it was used the last time, within a minute.
    pub seen_at: UnixMs,
    /// When it ends at the latest.
    pub ends_at: UnixMs,
    /// The address from which it was used the last time.
    pub from: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// Who somebody is, and what is granted to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Who.
    pub who: Who,
    /// By which credential.
    pub via: Via,
    /// The grants that concern them, through groups too.
    pub grants: Vec<Grant>,
}

impl Desk {
    /// Who the principal is, and what is granted to them.
    ///
    /// # Errors
    /// [`Error::Denied`] when the credential no longer counts.
    pub async fn me(&self) -> Result<Me, Error> {
        let seeing = self.may_see(Right::View).await?;
        Ok(Me {
            who: self.principal().who().clone(),
            via: self.principal().via().clone(),
            grants: seeing.facts().grants.clone(),
        })
    }

    /// Ends the session that asks. A token is not a session: nothing ends then.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sign_out(&self) -> Result<(), Error> {
        self.may_see(Right::View).await?;
        match self.principal().via() {
            Via::Session(id) => self.end_my_session(id).await,
            Via::Owner | Via::Token(_) => Ok(()),
        }
    }

    /// Ends all sessions of the principal, and says how many.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sign_out_everywhere(&self) -> Result<u64, Error> {
        let seeing = self.may_see(Right::View).await?;
        let person = self.principal().person();
        Ok(seeing
            .store()
            .end_own_sessions(person, seeing.now())
            .await?)
    }

    /// The sessions of the principal, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn my_sessions(&self) -> Result<Vec<Session>, Error> {
        let seeing = self.may_see(Right::View).await?;
        let person = self.principal().person();
        let sessions = seeing.store().sessions(person, seeing.now()).await?;
        Ok(self.shown(sessions))
    }

    /// Sessions as people see them.
    pub(crate) fn shown(&self, sessions: Vec<StoredSession>) -> Vec<Session> {
        let is_this = |id: &SessionId| *self.principal().via() == Via::Session(id.clone());
        let sessions = sessions.into_iter().map(|session| Session {
            is_this: is_this(&session.id),
            id: session.id,
            created_at: session.created_at,
            seen_at: session.seen_at,
            ends_at: session.ends_at,
            from: session.seen_from,
        });
        sessions.collect()
    }

    /// Ends one of the principal's sessions.
    ///
    /// # Errors
    /// [`Error::Unknown`] session.
    pub async fn end_my_session(&self, id: &SessionId) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        let person = self.principal().person();
        let now = seeing.now();
        match seeing.store().end_session(person, id, now).await? {
            true => Ok(()),
            false => Err(Error::Unknown {
                what: "such session of yours".to_owned(),
            }),
        }
    }

    /// Ends all sessions of another person, and says how many.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unknown`] person.
    pub async fn end_sessions_of(&self, name: &PersonName) -> Result<u64, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        permit.known_person(name).await?;
        let subject = format!("person/{name}");
        let audit = permit.audit("session.end_all", &subject, json!({}));
        Ok(permit.store().end_sessions(name, audit).await?)
    }

    /// Sets a new password, and ends all other sessions of the principal. The current one is needed where
    /// there is one.
    ///
    /// # Errors
    /// [`Error::SignIn`] when the current password is wrong; [`Error::Invalid`] when the new one is weak, or
    /// somebody else than a person in their browser asks.
    pub async fn change_password(&self, current: Password, new: Password) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        let name = self.principal().person();
        let Via::Session(session) = self.principal().via() else {
            let rule = "a password is changed in the browser, after signing in";
            return Err(invalid("password", &rule));
        };
        if let Some(stored) = seeing.store().password(name).await? {
            let from = self.principal().from();
            seeing.attempt(name.as_str(), from)?;
            if !seeing.passwords().matches(current, Some(stored)).await? {
                seeing.refused("password.change", name.as_str(), from);
                return Err(SignInRefused::Wrong.into());
            }
        }
        let hashed = seeing.hashed(name, new).await?;
        let (kept, now) = (Some(session.0.as_str()), seeing.now());
        match seeing
            .store()
            .set_password(name, &hashed, kept, now)
            .await?
        {
            true => Ok(()),
            false => Err(invalid(
                "password",
                &"it is kept by your directory; change it there",
            )),
        }
    }

    /// Makes a code with which the principal signs in to a browser, once, within five minutes. A session
    /// can do what the principal can, so a token that reaches less makes none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for service accounts and for tokens that do not reach everything.
    pub async fn make_sign_in_link(&self) -> Result<Secret, Error> {
        let seeing = self.may_see(Right::View).await?;
        let person = self.principal();
        let is_whole = *person.reach() == domain::access::Reach::Full;
        if !is_whole || matches!(person.who(), Who::ServiceAccount(_)) {
            let rule = "only a person with a token that reaches everything gets a link";
            return Err(invalid("token", &rule));
        }
        let secret = Secret::random()?;
        let code = Code {
            hash: secret.hash(),
            ends_at: seeing.now().plus_ms(LINK_MS),
        };
        let (name, now) = (person.person(), seeing.now());
        match seeing.store().put_own_code(name, &code, now).await? {
            true => Ok(secret),
            false => Err(super::people::unknown(name)),
        }
    }
}
