//! Grants: who has which role where. Whoever may administer somewhere grants there, and no further.

use domain::{
    access::{
        self, Facts, Grant, GrantId, Missing, PersonName, Principal, Resource, Right, Role, Scope,
        Subject,
    },
    catalogue::Kind,
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};
use serde_json::json;
use store::grants as stored;
use uuid::Uuid;

use super::{Desk, Error, Page, catalogue::Named, sign_in::invalid};

/// A grant, and who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// What.
    pub grant: Grant,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// Which grants are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this subject.
    pub subject: Option<Subject>,
    /// Only those that give this right now.
    pub gives: Option<Right>,
    /// Only those that hold for what this team owns.
    pub team: Option<TeamName>,
    /// Only those that hold in environments of this type.
    pub environment_type: Option<EnvironmentTypeName>,
}

/// What somebody may do somewhere, and by which grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The grant that gives the right; `None`: none does.
    pub grant: Option<Grant>,
    /// A sentence.
    pub sentence: String,
}

impl Desk {
    /// Grants in the order of their ids, after the id `after`.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn grants(
        &self,
        wanted: &Wanted,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Page<Granted>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let fetch = Page::<Granted>::fetch(limit);
        let filter = stored::Filter {
            subject: wanted.subject.clone(),
            gives: wanted.gives.map(|right| (right, permit.now())),
            team: wanted.team.clone(),
            environment_type: wanted.environment_type.clone(),
        };
        let grants = permit.store().grants(&filter, after, fetch).await?;
        let grants = grants.into_iter().map(Granted::from).collect();
        Ok(Page::of(grants, limit, |it: &Granted| {
            it.grant.id.0.clone()
        }))
    }

    /// Grants a role.
    ///
    /// # Errors
    /// [`Error::Unknown`] subject; [`Error::Busy`] when there are too many grants; [`Error::Invalid`] when it
    /// would have ended already.
    pub async fn grant(
        &self,
        subject: Subject,
        role: Role,
        scope: Scope,
        until: Option<UnixMs>,
    ) -> Result<Granted, Error> {
        let permit = self
            .may_freshly(Right::Administer, Resource::Everything)
            .await?;
        if until.is_some_and(|until| until <= permit.now()) {
            return Err(invalid("until", &"that time is over"));
        }
        let granted = stored::Granted {
            grant: Grant {
                id: GrantId(Uuid::now_v7().to_string()),
                subject,
                role,
                scope,
                until,
            },
            created_at: permit.now(),
            created_by: permit.principal().to_owned(),
        };
        let detail = json!({ "after": granted.grant });
        let audit = permit.audit("grant.create", &name_of(&granted.grant.id), detail);
        match permit.store().create_grant(&granted, audit).await? {
            stored::GrantCreated::Created => Ok(granted.into()),
            stored::GrantCreated::Unknown => Err(Error::Unknown {
                what: sentence(&granted.grant.subject),
            }),
            stored::GrantCreated::Full => Err(Error::Busy {
                what: "grants",
                limit: usize::try_from(stored::GRANTS_MAX).unwrap_or(usize::MAX),
            }),
        }
    }

    /// Takes a grant away.
    ///
    /// # Errors
    /// [`Error::Unknown`] grant; [`Error::LastAdmin`].
    pub async fn revoke(&self, id: &GrantId) -> Result<(), Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let unknown = || Error::Unknown {
            what: name_of(id).replace('/', " "),
        };
        let before = permit.store().grant(id).await?.ok_or_else(unknown)?;
        let detail = json!({ "before": before.grant });
        let audit = permit.audit("grant.remove", &name_of(id), detail);
        match permit.store().remove_grant(id, audit).await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// Whether a person or a service account may use `right` at `place` (`SERVICE.ENVIRONMENT`, or a kind and
    /// a name such as `service/shop`; empty for the whole installation), and by which grant. About oneself everybody may ask; about others, whoever may administer.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unknown`] person.
    pub async fn may_they(
        &self,
        name: &PersonName,
        right: Right,
        place: &str,
    ) -> Result<Answer, Error> {
        let seeing = self.may_see(Right::View).await?;
        if name != self.principal().person() {
            self.may(Right::Administer, Resource::Everything).await?;
        }
        let who = seeing.known_person(name).await?.who;
        let named = named(place)?;
        let resource = named.as_ref().map_or(Resource::Everything, Named::resource);
        // As if they came in by themselves, with all that they have.
        let asked = Principal::asked_about(who);
        let facts = seeing
            .store()
            .access(&asked, resource, seeing.now())
            .await?;
        let decided = access::may(&asked, right, resource, &facts, seeing.now());
        Ok(answer(decided, &facts, resource))
    }
}

/// What `place` names.
fn named(place: &str) -> Result<Option<Named>, Error> {
    if place.is_empty() {
        return Ok(None);
    }
    let named = match place.split_once('/') {
        None => Named::of(Kind::ServerGroup, place),
        Some((word, name)) => {
            Kind::find(|words| words.word == word).and_then(|kind| Named::of(kind, name))
        }
    };
    let rule = "write SERVICE.ENVIRONMENT, service/NAME, environment/NAME or team/NAME";
    named.map(Some).ok_or_else(|| invalid("place", &rule))
}

fn answer(
    decided: Result<access::Allowed, access::Denied>,
    facts: &Facts,
    resource: Resource<'_>,
) -> Answer {
    match decided {
        Ok(allowed) => {
            let grant = facts.grants.iter().find(|it| it.id == *allowed.grant());
            let by = grant.map(|grant| {
                format!(
                    "by the grant {}: {} is {} {}",
                    grant.id.0,
                    sentence(&grant.subject),
                    grant.role,
                    place(&grant.scope)
                )
            });
            Answer {
                sentence: format!(
                    "yes: `{}` on {resource}, {}",
                    allowed.right(),
                    by.unwrap_or_default()
                ),
                grant: grant.cloned(),
            }
        }
        Err(denied) => Answer {
            grant: None,
            sentence: match denied.missing {
                Missing::Credential => format!("no: {} is disabled", denied.principal),
                Missing::Grant | Missing::Reach => format!("no: {denied}"),
            },
        },
    }
}

/// A subject in words.
#[must_use]
pub fn sentence(subject: &Subject) -> String {
    match subject {
        Subject::SignedIn => "everyone who is signed in".to_owned(),
        Subject::Person(name) => format!("person {name}"),
        Subject::Group(name) => format!("group {name}"),
        Subject::ServiceAccount(name) => format!("service account {name}"),
    }
}

/// A scope in words.
#[must_use]
pub fn place(scope: &Scope) -> String {
    match (&scope.team, &scope.environment_type) {
        (None, None) => "everywhere".to_owned(),
        (Some(team), None) => format!("for what team {team} owns"),
        (None, Some(class)) => format!("in environments of type {class}"),
        (Some(team), Some(class)) => {
            format!("for what team {team} owns, in environments of type {class}")
        }
    }
}

fn name_of(id: &GrantId) -> String {
    let id: String = id.0.chars().take(80).collect();
    format!("grant/{id}")
}

impl From<stored::Granted> for Granted {
    fn from(granted: stored::Granted) -> Self {
        Self {
            grant: granted.grant,
            created_at: granted.created_at,
            created_by: granted.created_by,
        }
    }
}
