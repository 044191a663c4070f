//! People and service accounts: who can be granted something.

use domain::{
    access::{PersonName, Resource, Right, Who},
    catalogue::Kind,
    names::TeamName,
    time::UnixMs,
};
use serde_json::json;
use store::people as stored;

use super::{
    Desk, Error, Operations, Page,
    sign_in::{Secret, invalid},
};

/// An invitation counts for this time, in milliseconds.
pub const INVITATION_MS: u64 = 24 * 60 * 60 * 1000;

/// Somebody who can be granted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who, and what: a person or a service account.
    pub who: Who,
    /// The team of a service account.
    pub team: Option<TeamName>,
    /// Where the identity is from: `local`, or the name of a directory.
    pub provider: String,
    /// Whether there is a password.
    pub has_password: bool,
    /// When they were added.
    pub created_at: UnixMs,
    /// Who added them.
    pub created_by: String,
    /// When they signed in the last time.
    pub signed_in_at: Option<UnixMs>,
    /// Since when they are disabled.
    pub disabled_at: Option<UnixMs>,
}

impl Person {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &PersonName {
        match &self.who {
            Who::Person(name) | Who::ServiceAccount(name) => name,
        }
    }
}

/// Which people and service accounts are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only those whose name contains this text; empty: all.
    pub contains: String,
    /// Only service accounts, or only people.
    pub is_account: Option<bool>,
    /// Only those who are disabled, or only the others.
    pub disabled: Option<bool>,
}

/// A new person, and the code with which they sign in for the first time.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Who.
    pub person: Person,
    /// The code; it counts once, for a day.
    pub code: Secret,
}

impl Desk {
    /// People and service accounts in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn people(
        &self,
        wanted: &Wanted,
        after: Option<&PersonName>,
        limit: u32,
    ) -> Result<Page<Person>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let fetch = Page::<Person>::fetch(limit);
        let filter = stored::Filter {
            contains: Some(wanted.contains.clone()).filter(|text| !text.is_empty()),
            is_account: wanted.is_account,
            disabled: wanted.disabled,
        };
        let people = permit.store().people(&filter, after, fetch).await?;
        let people = people.into_iter().map(Person::from).collect();
        Ok(Page::of(people, limit, |person: &Person| {
            person.name().to_string()
        }))
    }

    /// One person or service account.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Denied`].
    pub async fn person(&self, name: &PersonName) -> Result<Person, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        permit.known_person(name).await
    }

    /// Adds a person, who may nothing yet, and invites them.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken; [`Error::Busy`] when there are too many people.
    pub async fn create_person(&self, name: PersonName) -> Result<Invited, Error> {
        let permit = self
            .may_freshly(Right::Administer, Resource::Everything)
            .await?;
        let code = Secret::random()?;
        let person = stored::Person {
            subject: name.to_string(),
            who: Who::Person(name.clone()),
            team: None,
            provider: stored::LOCAL.to_owned(),
            has_password: false,
            created_at: permit.now(),
            created_by: permit.principal().to_owned(),
            signed_in_at: None,
            disabled_at: None,
        };
        let invitation = invitation(&code, permit.now());
        let audit = permit.audit("person.create", &subject(&name), json!({}));
        let created = permit
            .store()
            .create_person(&person, Some(&invitation), audit);
        created_person(created.await?, &name)?;
        Ok(Invited {
            person: person.into(),
            code,
        })
    }

    /// Adds a service account of a team.
    ///
    /// # Errors
    /// [`Error::Exists`] when the name is taken; [`Error::Unknown`] team; [`Error::Busy`] when there are
    /// too many.
    pub async fn create_service_account(
        &self,
        name: PersonName,
        team: TeamName,
    ) -> Result<Person, Error> {
        let permit = self
            .may_freshly(Right::Administer, Resource::Team(&team))
            .await?;
        permit.entry(Kind::Team, team.as_str()).await?;
        let person = stored::Person {
            subject: name.to_string(),
            who: Who::ServiceAccount(name.clone()),
            team: Some(team.clone()),
            provider: stored::LOCAL.to_owned(),
            has_password: false,
            created_at: permit.now(),
            created_by: permit.principal().to_owned(),
            signed_in_at: None,
            disabled_at: None,
        };
        let detail = json!({"kind": "service_account", "team": team});
        let audit = permit.audit("person.create", &subject(&name), detail);
        created_person(
            permit.store().create_person(&person, None, audit).await?,
            &name,
        )?;
        Ok(person.into())
    }

    /// Makes a new code with which a person signs in once, for who lost their password or has none yet.
    ///
    /// # Errors
    /// [`Error::Unknown`] person; [`Error::Invalid`] for a service account, which cannot sign in.
    pub async fn invite(&self, name: &PersonName) -> Result<Invited, Error> {
        let permit = self
            .may_freshly(Right::Administer, Resource::Everything)
            .await?;
        let person = permit.known_person(name).await?;
        if matches!(person.who, Who::ServiceAccount(_)) {
            return Err(invalid(
                "name",
                &"a service account cannot sign in; make a token for it",
            ));
        }
        let code = Secret::random()?;
        let invitation = invitation(&code, permit.now());
        let audit = permit.audit("person.invite", &subject(name), json!({}));
        match permit.store().put_code(name, &invitation, audit).await? {
            true => Ok(Invited { person, code }),
            false => Err(unknown(name)),
        }
    }

    /// Disables somebody: their sessions end, and their tokens no longer count. Or enables them again.
    ///
    /// # Errors
    /// [`Error::Unknown`] person; [`Error::LastAdmin`].
    pub async fn set_disabled(&self, name: &PersonName, disabled: bool) -> Result<Person, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let before = permit.known_person(name).await?;
        let action = match disabled {
            true => "person.disable",
            false => "person.enable",
        };
        let detail = json!({"before": {"disabled_at": before.disabled_at}});
        let audit = permit.audit(action, &subject(name), detail);
        let at = disabled.then(|| permit.now());
        if !permit.store().set_disabled(name, at, audit).await? {
            return Err(unknown(name));
        }
        permit.known_person(name).await
    }
}

impl Operations {
    pub(crate) async fn known_person(&self, name: &PersonName) -> Result<Person, Error> {
        let person = self.store().person(name).await?;
        person.map(Person::from).ok_or_else(|| unknown(name))
    }
}

pub(crate) fn unknown(name: &PersonName) -> Error {
    Error::Unknown {
        what: format!("person or service account {name}"),
    }
}

fn subject(name: &PersonName) -> String {
    format!("person/{name}")
}

fn invitation(code: &Secret, now: UnixMs) -> stored::Code {
    stored::Code {
        hash: code.hash(),
        ends_at: now.plus_ms(INVITATION_MS),
    }
}

fn created_person(created: stored::PersonCreated, name: &PersonName) -> Result<(), Error> {
    match created {
        stored::PersonCreated::Created => Ok(()),
        stored::PersonCreated::AlreadyThere => Err(Error::Exists {
            what: format!("{name} exists"),
        }),
        stored::PersonCreated::Full => Err(Error::Busy {
            what: "people",
            limit: usize::try_from(stored::PEOPLE_MAX).unwrap_or(usize::MAX),
        }),
    }
}

impl From<stored::Person> for Person {
    fn from(person: stored::Person) -> Self {
        Self {
            who: person.who,
            team: person.team,
            provider: person.provider,
            has_password: person.has_password,
            created_at: person.created_at,
            created_by: person.created_by,
            signed_in_at: person.signed_in_at,
            disabled_at: person.disabled_at,
        }
    }
}
