//! Signing in: a password or a code becomes a session.
//!
//! ```text
//! name, password, address --limits--> password (argon2id, off the async threads) --> session, whose secret the browser keeps
//! code, address -----------limits--> code (once) ------------------------------------^
//! identity provider --(there and back, once)--> provider and subject -----------------^
//! ```
//!
//! Invariant: a wrong password, an unknown name and a disabled person get the same answer after the same work.
//! Invariant: a session gets its secret when it begins, and the one before it ends.

mod by_provider;
mod limits;
mod password;
pub mod provider;
mod sealed;

use std::net::IpAddr;

use domain::{
    access::{
        PersonName, Reach, Role, SECRET_BYTES, SessionId, Visible, Who, password_fault, token_of,
    },
    catalogue::Kind,
    release::Digest,
    time::UnixMs,
};
use sha2::{Digest as _, Sha256};
use store::{
    catalogue::Filter,
    people as stored,
    sessions::{Confirmed, Session as StoredSession},
};
use uuid::Uuid;

use super::{Error, Operations, PAGE_MAX, error::Fault, tokens::NewToken};
pub use by_provider::{Brought, Leaving};
use limits::Limits;
pub use limits::prefix_of;
pub use password::Password;
use password::Passwords;
pub use provider::ProviderRefused;

/// A session that nobody uses ends after this time, in milliseconds.
pub const IDLE_MS: u64 = 60 * 60 * 1000;
/// A session ends after this time at the latest, in milliseconds.
pub const SESSION_MS: u64 = 12 * 60 * 60 * 1000;
/// A session whose provider cannot be asked again ends after this time at the latest, in milliseconds.
pub const UNCONFIRMED_MS: u64 = 60 * 60 * 1000;
/// That a session is used is noted at most this often, in milliseconds.
const NOTED_EVERY_MS: u64 = 60 * 1000;

/// What a browser or a program keeps and shows. It is shown once, and stored as a hash.
#[derive(Clone)]
pub struct Secret(String);

/// Somebody who is signed in now.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// What the browser keeps.
    pub secret: Secret,
    /// Who.
    pub person: PersonName,
    /// When the session ends at the latest.
    pub ends_at: UnixMs,
}

/// Why somebody was not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefused {
    /// The name, the password or the code is wrong. Which one is not said.
    #[error("that did not match: check the name and the password, or ask for a new code")]
    Wrong,
    /// Too many attempts.
    #[error("too many attempts; try again in {retry_after_s} s")]
    TooOften {
        /// When another one makes sense, in seconds.
        retry_after_s: u64,
    },
    /// Too many people sign in at this moment.
    #[error("too many people are signing in at this moment")]
    Busy,
    /// An identity provider is in the way.
    #[error(transparent)]
    ByProvider(#[from] ProviderRefused),
}

/// How somebody proved who they are.
enum Way {
    Password,
    Code,
    FirstStart,
    Provider {
        name: String,
        renewal: Option<String>,
    },
}

impl Way {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
            Self::FirstStart => "first_start",
            Self::Provider { .. } => "provider",
        }
    }

    /// What the provider said, sealed with `secret`; and how long the session lasts at most.
    fn confirmed(self, secret: &Secret, now: UnixMs) -> Result<(Option<Confirmed>, u64), Error> {
        let Self::Provider { name, renewal } = self else {
            return Ok((None, SESSION_MS));
        };
        let longest = match renewal {
            Some(_) => SESSION_MS,
            None => UNCONFIRMED_MS,
        };
        let renewal = renewal.map(|renewal| sealed::seal(secret.reveal(), &renewal));
        let confirmed = Confirmed {
            provider: name,
            renewal: renewal.transpose()?,
            asked_at: now,
            at: now,
        };
        Ok((Some(confirmed), longest))
    }
}

/// What signing in works with.
#[derive(Debug, Default)]
pub(crate) struct SignIn {
    limits: Limits,
    passwords: Passwords,
}

impl Secret {
    /// A new one.
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            tracing::error!(%error, "the system gives no random numbers");
            Error::Internal {
                doing: "making a secret",
            }
        })?;
        Ok(Self(token_of(&bytes)))
    }

    /// The text, for the one whose it is.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> Digest {
        hash(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What is stored of a secret.
pub(crate) fn hash(secret: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(secret.as_bytes()).into())
}

impl Operations {
    /// Whether nobody can manage people yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn needs_first_admin(&self) -> Result<bool, Error> {
        Ok(!self.store().has_admin().await?)
    }

    /// Signs a person in, and ends the session of the secret `old`.
    ///
    /// # Errors
    /// [`Error::SignIn`]; or when the store does not answer.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Password,
        from: IpAddr,
        old: Option<&str>,
    ) -> Result<SignedIn, Error> {
        let person = self.checked_password(name, password, from).await?;
        self.begin_session(person, from, old, Way::Password).await
    }

    /// Whose name and password these are.
    async fn checked_password(
        &self,
        name: &str,
        password: Password,
        from: IpAddr,
    ) -> Result<PersonName, Error> {
        let signing = &self.0.sign_in;
        if let Err(refused) = signing.limits.attempt(name, from) {
            self.refused("sign_in:too_often", name, from);
            return Err(refused.into());
        }
        // Who cannot sign in costs as much as who can.
        let person: Option<PersonName> = name.parse().ok();
        let stored = match &person {
            Some(person) => self.store().password(person).await?,
            None => None,
        };
        let matches = signing.passwords.matches(password, stored).await?;
        let Some(person) = person.filter(|_| matches) else {
            self.refused("sign_in", name, from);
            return Err(SignInRefused::Wrong.into());
        };
        signing.limits.succeeded(name, from);
        Ok(person)
    }

    /// Signs in whose code this is, and ends the session of the secret `old`. The code counts once.
    ///
    /// # Errors
    /// [`Error::SignIn`]; or when the store does not answer.
    pub async fn sign_in_by_link(
        &self,
        code: &str,
        from: IpAddr,
        old: Option<&str>,
    ) -> Result<SignedIn, Error> {
        let person = self.take_code(code, from).await?;
        self.begin_session(person, from, old, Way::Code).await
    }

    /// Whose code this is; it counts once.
    pub(crate) async fn take_code(&self, code: &str, from: IpAddr) -> Result<PersonName, Error> {
        if let Err(refused) = self.0.sign_in.limits.attempt_from(from) {
            self.refused("code:too_often", "", from);
            return Err(refused.into());
        }
        let person = self.store().take_code(&hash(code), self.now()).await?;
        person.ok_or_else(|| {
            self.refused("code", "", from);
            SignInRefused::Wrong.into()
        })
    }

    /// The session with this secret, if it has not ended. For the door, which knows nobody yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn session_of(
        &self,
        secret: &str,
        from: IpAddr,
    ) -> Result<Option<(PersonName, SessionId, Reach)>, Error> {
        let now = self.now();
        let Some(mut session) = self.store().session(&hash(secret), now).await? else {
            return Ok(None);
        };
        let Some(reach) = self.confirmed(&session, secret).await? else {
            return Ok(None);
        };
        if now.since_ms(session.seen_at) >= NOTED_EVERY_MS {
            session.seen_at = now;
            session.idle_ends_at = now.plus_ms(IDLE_MS);
            session.seen_from = from.to_string();
            self.store().session_seen(&session).await?;
        }
        Ok(Some((session.person, session.id, reach)))
    }

    /// Makes the person who started the server on their own machine the first who can do anything: with
    /// the roles admin, operator and governor everywhere, as grants like all others. Does nothing once
    /// there is somebody who can manage people.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn make_owner(&self) -> Result<bool, Error> {
        let owner = self.new_person(PersonName::owner());
        let roles = [Role::Admin, Role::Operator, Role::Governor];
        Ok(self
            .store()
            .create_first_admin(&owner, None, &roles)
            .await?)
    }

    /// One attempt to show the token of the first start. For the door, which knows nobody yet.
    ///
    /// # Errors
    /// [`Error::SignIn`] when there were too many from that address.
    pub fn attempt_first_admin(&self, from: IpAddr) -> Result<(), Error> {
        Ok(self.0.sign_in.limits.attempt_from(from)?)
    }

    /// Gives a person a token of their own for the command line, named `token_name`, for their password.
    ///
    /// # Errors
    /// [`Error::SignIn`]; [`Error::Invalid`] name of the token.
    pub async fn log_in(
        &self,
        name: &str,
        password: Password,
        from: IpAddr,
        token_name: &str,
    ) -> Result<NewToken, Error> {
        let person = self.checked_password(name, password, from).await?;
        self.log_in_as(person, token_name, from).await
    }

    /// The same, for a code.
    ///
    /// # Errors
    /// As [`Operations::log_in`].
    pub async fn log_in_by_code(
        &self,
        code: &str,
        from: IpAddr,
        token_name: &str,
    ) -> Result<NewToken, Error> {
        let person = self.take_code(code, from).await?;
        self.log_in_as(person, token_name, from).await
    }

    /// Makes the first person who can manage people, and signs them in. The door checked that the token of
    /// the first start was shown.
    ///
    /// # Errors
    /// [`Error::Invalid`] name or password; [`Error::Exists`] when there is somebody already.
    pub async fn make_first_admin(
        &self,
        name: &str,
        password: Password,
        from: IpAddr,
    ) -> Result<SignedIn, Error> {
        let name: PersonName = name.parse().map_err(|error| invalid("name", &error))?;
        let hashed = self.hashed(&name, password).await?;
        let person = self.new_person(name.clone());
        let store = self.store();
        let roles = [Role::Admin];
        if !store
            .create_first_admin(&person, Some(&hashed), &roles)
            .await?
        {
            return Err(Error::Exists {
                what: "the first admin exists".to_owned(),
            });
        }
        self.begin_session(name, from, None, Way::FirstStart).await
    }

    /// One attempt at the password of `name`.
    pub(crate) fn attempt(&self, name: &str, from: Option<IpAddr>) -> Result<(), Error> {
        let from = from.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        Ok(self.0.sign_in.limits.attempt(name, from)?)
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.sign_in.passwords
    }

    /// A password that follows the rules, as it is stored.
    pub(crate) async fn hashed(
        &self,
        name: &PersonName,
        password: Password,
    ) -> Result<String, Error> {
        let teams = self.teams().await?;
        let own = teams.iter().map(String::as_str);
        let own: Vec<&str> = own.chain([name.as_str()]).collect();
        if let Some(fault) = password_fault(password.reveal(), &own) {
            return Err(invalid("password", &fault));
        }
        self.0.sign_in.passwords.hash(password).await
    }

    /// The names of the teams, as many as are read at once. Nothing of a password goes to the database.
    async fn teams(&self) -> Result<Vec<String>, Error> {
        let (all, filter) = (Visible::everything(), Filter::default());
        let teams = self
            .store()
            .entries((Kind::Team, &filter), &all, None, PAGE_MAX);
        Ok(teams.await?.into_iter().map(|team| team.name).collect())
    }

    fn new_person(&self, name: PersonName) -> stored::Person {
        stored::Person {
            subject: name.to_string(),
            who: Who::Person(name),
            team: None,
            provider: stored::LOCAL.to_owned(),
            has_password: false,
            created_at: self.now(),
            created_by: "pointsman".to_owned(),
            signed_in_at: None,
            disabled_at: None,
        }
    }

    async fn begin_session(
        &self,
        person: PersonName,
        from: IpAddr,
        old: Option<&str>,
        way: Way,
    ) -> Result<SignedIn, Error> {
        let secret = Secret::random()?;
        let now = self.now();
        let by = way.as_str();
        let (confirmed, longest) = way.confirmed(&secret, now)?;
        let session = StoredSession {
            id: SessionId(Uuid::now_v7().to_string()),
            person: person.clone(),
            created_at: now,
            seen_at: now,
            idle_ends_at: now.plus_ms(IDLE_MS),
            ends_at: now.plus_ms(longest),
            seen_from: from.to_string(),
            confirmed,
        };
        let old = old.map(hash);
        let new = secret.hash();
        let begun = self.store().begin_session(&session, &new, old.as_ref(), by);
        if !begun.await? {
            self.refused("sign_in", person.as_str(), from);
            return Err(SignInRefused::Wrong.into());
        }
        Ok(SignedIn {
            secret,
            person,
            ends_at: session.ends_at,
        })
    }
}

/// One fault in what was sent.
pub(crate) fn invalid(field: &'static str, why: &dyn std::fmt::Display) -> Error {
    Error::Invalid {
        what: "the request",
        faults: vec![Fault::of(field, why.to_string())],
    }
}
