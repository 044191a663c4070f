//! Signing in by an identity provider, and asking it again while a session lasts.
//!
//! ```text
//! begin --(state; cookie of the browser)--> provider --> finish --> person of (provider, subject) --> session
//! session, every 5 minutes ------------> provider: still them? --> goes on, reads only, or ends
//! ```
//!
//! Invariant: who somebody is, is (provider, subject); names and e-mail addresses find nobody.

use std::{net::IpAddr, sync::Arc};

use domain::{
    access::{PersonName, Reach, Right, Scope, Who},
    time::UnixMs,
};
use store::{
    identities::{Begun, Identified},
    people::Person,
    sessions::{Confirmed, Session},
};

use super::{
    ProviderRefused, Secret, SignedIn, Way, hash, invalid,
    provider::{Arrival, Identity, IdentityProvider},
    sealed,
};
use crate::{Error, Operations};

/// How long somebody may take at the provider, in milliseconds.
const AWAY_MS: u64 = 10 * 60 * 1000;
/// A provider is asked again after this time, in milliseconds.
const ASK_EVERY_MS: u64 = 5 * 60 * 1000;
/// The same when it did not answer.
const RETRY_EVERY_MS: u64 = 30 * 1000;
/// How long somebody may change things while the provider does not answer, in milliseconds.
const CHANGING_MS: u64 = 15 * 60 * 1000;
/// How long they may look, in milliseconds.
const LOOKING_MS: u64 = 60 * 60 * 1000;
/// What may be done while the provider does not answer.
const LOOKING: [Right; 3] = [Right::View, Right::ViewLogs, Right::ViewAudit];
/// Names that are tried for a new person before giving up.
const NAMES_MAX: usize = 50;

/// Somebody who goes to a provider.
#[derive(Debug, Clone)]
pub struct Leaving {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps until it is back.
    pub browser: Secret,
}

/// What a browser brought back.
#[derive(Debug, Clone, Default)]
pub struct Brought {
    /// What it was given when it left.
    pub state: String,
    /// As the provider wrote it.
    pub code: Option<String>,
    /// Who says it, where the provider says that.
    pub issuer: Option<String>,
}

impl Operations {
    /// The identity providers, each with its name and what people call it.
    pub fn identity_providers(&self) -> impl Iterator<Item = (&str, &str)> {
        let providers = self.providers().iter();
        providers.map(|it| (it.name(), it.title()))
    }

    /// Sends somebody to a provider, from which they come back at `back` and then go on to `next`.
    ///
    /// # Errors
    /// [`Error::Unknown`] provider; [`Error::SignIn`].
    pub async fn leave_for(
        &self,
        provider: &str,
        back: &str,
        next: &str,
        from: IpAddr,
    ) -> Result<Leaving, Error> {
        let provider = self.provider(provider)?;
        self.0.sign_in.limits.attempt_from(from)?;
        let departure = provider
            .begin(back)
            .await
            .map_err(super::SignInRefused::from)?;
        let (now, browser) = (self.now(), Secret::random()?);
        let begun = Begun {
            provider: provider.name().to_owned(),
            nonce: departure.nonce,
            verifier: departure.verifier,
            next: next.to_owned(),
            ends_at: now.plus_ms(AWAY_MS),
        };
        let hashes = (&hash(&departure.state), &browser.hash());
        self.store().put_begun(hashes, &begun, now).await?;
        Ok(Leaving {
            url: departure.url,
            browser,
        })
    }

    /// Signs in who comes back from a provider at `back`, in the browser that keeps `browser`; ends the
    /// session of the secret `old`; and says where to go on.
    ///
    /// # Errors
    /// [`Error::Unknown`] provider; [`Error::SignIn`].
    pub async fn come_back(
        &self,
        (provider, back): (&str, &str),
        browser: Option<&str>,
        brought: Brought,
        (from, old): (IpAddr, Option<&str>),
    ) -> Result<(SignedIn, String), Error> {
        let provider = self.provider(provider)?;
        self.0.sign_in.limits.attempt_from(from)?;
        let refused = |why: ProviderRefused| {
            self.refused(why.code(), provider.name(), from);
            Error::from(super::SignInRefused::from(why))
        };
        let hashes = (&hash(&brought.state), &hash(browser.unwrap_or_default()));
        let begun = self.store().take_begun(hashes, self.now()).await?;
        let begun = begun
            .filter(|begun| begun.provider == provider.name())
            .ok_or_else(|| refused(ProviderRefused::NotBegun))?;
        let arrival = Arrival {
            code: brought.code,
            issuer: brought.issuer,
            nonce: begun.nonce,
            verifier: begun.verifier,
        };
        let identity = provider.finish(back, &arrival).await.map_err(refused)?;
        let person = self.person_of(provider, &identity).await?;
        let person = person.ok_or_else(|| refused(ProviderRefused::Full))?;
        let way = Way::Provider {
            name: provider.name().to_owned(),
            renewal: identity.renewal,
        };
        let signed_in = self.begin_session(person, from, old, way).await?;
        Ok((signed_in, begun.next))
    }

    /// How far a session reaches now; `None`: it has ended, because its provider no longer knows the person,
    /// or has not answered for too long.
    pub(super) async fn confirmed(
        &self,
        session: &Session,
        secret: &str,
    ) -> Result<Option<Reach>, Error> {
        let Some(confirmed) = &session.confirmed else {
            return Ok(Some(Reach::Full));
        };
        // Without a way to ask again it ends early by itself.
        let Some(renewal) = &confirmed.renewal else {
            return Ok(Some(Reach::Full));
        };
        let now = self.now();
        let due = now.since_ms(confirmed.asked_at) >= ASK_EVERY_MS;
        let before = UnixMs(now.0 - ASK_EVERY_MS.cast_signed());
        if !due || !self.store().ask_again(&session.id, now, before).await? {
            return Ok(reach_at(confirmed.at, now));
        }
        let said = match sealed::open(secret, renewal) {
            Some(renewal) => self.ask_again(session, confirmed, &renewal).await?,
            None => Err(ProviderRefused::Declined),
        };
        let asked = match said {
            Ok(renewal) => Confirmed {
                renewal: Some(sealed::seal(secret, &renewal)?),
                asked_at: now,
                at: now,
                provider: confirmed.provider.clone(),
            },
            Err(why) if why.is_for_now() => Confirmed {
                asked_at: UnixMs(now.0 - (ASK_EVERY_MS - RETRY_EVERY_MS).cast_signed()),
                ..confirmed.clone()
            },
            Err(why) => {
                tracing::info!(person = %session.person, why = why.code(), "a session ends");
                let (person, id) = (&session.person, &session.id);
                self.store().end_session(person, id, now).await?;
                return Ok(None);
            }
        };
        self.store().confirm_session(&session.id, &asked).await?;
        Ok(reach_at(asked.at, now))
    }

    /// Asks the provider whether this is still the person, and takes over the groups. With what it is asked
    /// the next time.
    async fn ask_again(
        &self,
        session: &Session,
        confirmed: &Confirmed,
        renewal: &str,
    ) -> Result<Result<String, ProviderRefused>, Error> {
        let person = self.store().person(&session.person).await?;
        let (Some(person), Ok(provider)) = (person, self.provider(&confirmed.provider)) else {
            return Ok(Err(ProviderRefused::NotAdmitted));
        };
        match provider.confirm(&person.subject, renewal).await {
            Err(why) => Ok(Err(why)),
            Ok(identity) => {
                self.person_of(provider, &identity).await?;
                Ok(Ok(identity.renewal.unwrap_or_else(|| renewal.to_owned())))
            }
        }
    }

    /// The person with this identity, made when there is none yet; `None`: there is no room.
    async fn person_of(
        &self,
        provider: &Arc<dyn IdentityProvider>,
        identity: &Identity,
    ) -> Result<Option<PersonName>, Error> {
        let names = names_of(identity);
        let Some(first) = names.first() else {
            return Ok(None);
        };
        let new = Person {
            who: Who::Person(first.clone()),
            provider: provider.name().to_owned(),
            subject: identity.subject.clone(),
            ..self.new_person(first.clone())
        };
        let groups = identity.groups.as_deref();
        match self.store().identified(&new, &names, groups).await? {
            Identified::Person(name) => Ok(Some(name)),
            Identified::Full => Ok(None),
        }
    }

    fn provider(&self, name: &str) -> Result<&Arc<dyn IdentityProvider>, Error> {
        let known = self.providers().iter().find(|it| it.name() == name);
        let name: String = name.chars().take(80).collect();
        known.ok_or_else(|| Error::Unknown {
            what: format!("identity provider {name}"),
        })
    }

    /// Checks that there is an identity provider of that name.
    pub(crate) fn known_provider(&self, name: &str) -> Result<(), Error> {
        if self.provider(name).is_ok() {
            return Ok(());
        }
        let names: Vec<&str> = self.identity_providers().map(|(name, _)| name).collect();
        let rule = match names.is_empty() {
            true => "this server has no identity provider; see `--oidc`".to_owned(),
            false => format!("there are these identity providers: {}", names.join(", ")),
        };
        Err(invalid("provider", &rule))
    }
}

/// How far a session reaches at `now` whose provider said yes at `confirmed_at`.
fn reach_at(confirmed_at: UnixMs, now: UnixMs) -> Option<Reach> {
    match now.since_ms(confirmed_at) {
        age if age < CHANGING_MS => Some(Reach::Full),
        age if age < LOOKING_MS => Some(Reach::Narrow {
            rights: LOOKING.into(),
            scope: Scope::default(),
        }),
        _ => None,
    }
}

/// Names for a new person, best first: what the provider calls them, in our letters, then the same with a
/// number.
fn names_of(identity: &Identity) -> Vec<PersonName> {
    let plain = |name: &String| -> Option<PersonName> {
        let name = name.split('@').next().unwrap_or_default().to_lowercase();
        let letters = name.chars().map(|c| match c {
            'a'..='z' | '0'..='9' | '.' | '_' => c,
            _ => '-',
        });
        let name: String = letters.take(50).collect();
        name.trim_matches(['-', '.', '_']).parse().ok()
    };
    let named = identity.names.iter().find_map(plain);
    let first = named.or_else(|| "person".parse().ok());
    let Some(first) = first else {
        return Vec::new();
    };
    let numbered = (2..=NAMES_MAX).filter_map(|n| format!("{first}-{n}").parse().ok());
    std::iter::once(first.clone()).chain(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> String {
        let names = names.iter().map(ToString::to_string).collect();
        let identity = Identity {
            subject: "1".to_owned(),
            names,
            groups: None,
            renewal: None,
        };
        let names = names_of(&identity);
        assert_eq!(names.len(), NAMES_MAX);
        format!("{} {}", names[0], names[1])
    }

    #[test]
    fn a_new_person_gets_a_name_of_our_letters() {
        assert_eq!(named(&["Ann.Lee@example.com"]), "ann.lee ann.lee-2");
        assert_eq!(named(&["", "Bob O'Neil"]), "bob-o-neil bob-o-neil-2");
        assert_eq!(named(&["..", "张伟"]), "person person-2");
    }

    #[test]
    fn a_provider_that_is_silent_leaves_time_to_look() {
        let at = |minutes: i64| reach_at(UnixMs(0), UnixMs(minutes * 60_000));
        assert_eq!(at(14), Some(Reach::Full));
        let Some(reading) = at(15) else {
            panic!("it ended");
        };
        assert!(reading.of(Right::View).is_some());
        assert_eq!(reading.of(Right::Deploy), None);
        assert!(at(59).is_some());
        assert_eq!(at(60), None);
    }
}
