//! Who may do what: principals, rights, roles, grants, and the one decision over them.
//!
//! ```text
//! principal + right + target --may(grants, now)--> Allowed | Denied
//! ```
//!
//! Default deny: a grant allows, nothing forbids. The target comes from what is stored (the owner of
//! the service, the type of the environment), never from the words of a request.
//!
//! Invariant: only [`may`] makes an [`Allowed`], so whatever needs one was checked.

mod person;
mod role;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use person::{FIRST, PersonName, PersonNameError};
pub use role::{Right, Role};

use crate::{
    names::{DeploymentId, EnvironmentName, EnvironmentTypeName, Place, ServiceName, TeamName},
    time::UnixMs,
};

/// Who is signed in. Made by authentication alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: String,
}

impl Principal {
    /// The one who showed a valid credential of `name`.
    #[must_use]
    pub fn authenticated(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// The name, for records and people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a use case is about, as the caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The whole installation: lists, the audit log, people, accounts.
    Everything,
    /// What a team owns.
    Team(&'a TeamName),
    /// A service, wherever it runs.
    Service(&'a ServiceName),
    /// An environment.
    Environment(&'a EnvironmentName),
    /// A service in an environment.
    Place(&'a Place),
    /// The place of a deployment.
    Deployment(&'a DeploymentId),
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("the whole installation"),
            Self::Team(name) => write!(f, "team {name}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Place(place) => write!(f, "{place}"),
            Self::Deployment(id) => write!(f, "deployment {id}"),
        }
    }
}

/// What a use case is about, as it is stored: who owns it, and which class of environment it is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The team that owns the service; `None` where no single team does.
    pub team: Option<TeamName>,
    /// The type of the environment; `None` where no single one is meant.
    pub environment_type: Option<EnvironmentTypeName>,
}

/// What is stored at one moment, and decides whether somebody may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The grants that may concern the principal.
    pub grants: Vec<Grant>,
    /// What the resource is stored as.
    pub target: Target,
}

/// Where a grant holds. `None` is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Only for what this team owns.
    pub team: Option<TeamName>,
    /// Only in environments of this type.
    pub environment_type: Option<EnvironmentTypeName>,
}

impl Scope {
    /// Whether `target` is inside.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        let team = self.team.is_none() || self.team == target.team;
        let environment_type =
            self.environment_type.is_none() || self.environment_type == target.environment_type;
        team && environment_type
    }
}

/// Who has a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// Everyone who is signed in.
    SignedIn,
    /// One person.
    Person(PersonName),
}

/// A role that a subject has in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who has it.
    pub subject: Subject,
    /// Which rights it gives.
    pub role: Role,
    /// Where.
    pub scope: Scope,
    /// When it ends; `None`: it stays until someone removes it.
    pub until: Option<UnixMs>,
}

impl Grant {
    fn gives(&self, principal: &Principal, right: Right, target: &Target, now: UnixMs) -> bool {
        let has = match &self.subject {
            Subject::SignedIn => true,
            Subject::Person(name) => name.as_str() == principal.name,
        };
        let lasts = self.until.is_none_or(|until| now < until);
        has && lasts && self.role.rights().contains(&right) && self.scope.covers(target)
    }
}

/// Proof that a principal may use a right. What changes something asks for it.
///
/// Only [`may`] makes one:
///
/// ```compile_fail,E0451
/// use domain::access::{Allowed, Principal, Right};
/// let principal = Principal::authenticated("mallory");
/// let allowed = Allowed { principal, right: Right::Deploy };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    principal: Principal,
    right: Right,
}

impl Allowed {
    /// Who may.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Which right was checked.
    #[must_use]
    pub fn right(&self) -> Right {
        self.right
    }
}

/// Why a principal may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{principal} may not do this: no grant gives them the right `{right}` for {resource}; someone with the right `{}` can grant it",
    Right::Administer
)]
pub struct Denied {
    /// Who asked.
    pub principal: String,
    /// The right that is missing.
    pub right: Right,
    /// For what.
    pub resource: String,
}

/// Decides whether `principal` may use `right` on `resource` at the time `now`.
///
/// # Errors
/// [`Denied`] when no grant gives the right there.
pub fn may(
    principal: &Principal,
    right: Right,
    resource: Resource<'_>,
    facts: &Facts,
    now: UnixMs,
) -> Result<Allowed, Denied> {
    let gives = |grant: &Grant| grant.gives(principal, right, &facts.target, now);
    if facts.grants.iter().any(gives) {
        return Ok(Allowed {
            principal: principal.clone(),
            right,
        });
    }
    Err(Denied {
        principal: principal.name.clone(),
        right,
        resource: resource.to_string(),
    })
}
