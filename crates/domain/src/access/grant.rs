//! Grants: who has a role where, and until when.

use serde::{Deserialize, Serialize};

use super::{GroupName, PersonName, Principal, Right, Role, Who};
use crate::{
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};

/// What a use case is about, as it is stored: who owns it, and which class of environment it is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The team that owns it; `None` where no single team does.
    pub team: Option<TeamName>,
    /// The type of the environment; `None` where no single one is meant.
    pub environment_type: Option<EnvironmentTypeName>,
}

/// Where a grant holds. `None` is any.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
        self.covers_halves(target, (true, true))
    }

    /// Whether `target` is inside, when only some halves count: the team, the environment type.
    pub(super) fn covers_halves(&self, target: &Target, counts: (bool, bool)) -> bool {
        let team = self.team.is_none() || !counts.0 || self.team == target.team;
        let environment_type = self.environment_type.is_none()
            || !counts.1
            || self.environment_type == target.environment_type;
        team && environment_type
    }

    /// What is inside of both; `None` where nothing can be.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            team: narrower(self.team.as_ref(), other.team.as_ref())?,
            environment_type: narrower(
                self.environment_type.as_ref(),
                other.environment_type.as_ref(),
            )?,
        })
    }
}

/// What both allow: `None` when they exclude each other, `Some(None)` when both allow any.
fn narrower<T: Clone + PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<Option<T>> {
    match (one, other) {
        (None, any) | (any, None) => Some(any.cloned()),
        (Some(one), Some(other)) => (one == other).then(|| Some(one.clone())),
    }
}

/// Who has a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// Every person who can sign in; no service account.
    SignedIn,
    /// One person.
    Person(PersonName),
    /// Everyone in a group.
    Group(GroupName),
    /// A service account.
    ServiceAccount(PersonName),
}

/// The id of a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GrantId(pub String);

/// A role that a subject has in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Which one it is.
    pub id: GrantId,
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
    /// Whether it gives `right` to `principal`, who is in `groups`, at the time `now`; somewhere.
    pub(super) fn gives(
        &self,
        principal: &Principal,
        groups: &[GroupName],
        right: Right,
        now: UnixMs,
    ) -> bool {
        let has = match (&self.subject, principal.who()) {
            (Subject::SignedIn, Who::Person(_)) => true,
            (Subject::Person(name), Who::Person(person)) => name == person,
            (Subject::Group(name), Who::Person(_)) => groups.contains(name),
            (Subject::ServiceAccount(name), Who::ServiceAccount(account)) => name == account,
            _ => false,
        };
        // What a person has to decide is never decided by a program.
        let by_person = right != Right::Approve || matches!(principal.who(), Who::Person(_));
        let lasts = self.until.is_none_or(|until| now < until);
        has && by_person && lasts && self.role.rights().contains(&right)
    }
}
