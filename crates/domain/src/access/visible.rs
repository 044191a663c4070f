//! What of a list a principal may see, as conditions that a database understands.

use std::collections::BTreeSet;

use super::{Facts, Principal, Right, Scope};
use crate::{
    names::{EnvironmentTypeName, TeamName},
    time::UnixMs,
};

/// The scopes in which somebody may use a right: whatever is in one of them is visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    scopes: BTreeSet<Scope>,
}

impl Visible {
    /// Where `principal` may use `right` at the time `now`.
    #[must_use]
    pub fn of(principal: &Principal, right: Right, facts: &Facts, now: UnixMs) -> Self {
        let reach = principal.reach().of(right).filter(|_| facts.counts);
        let scopes = facts
            .grants
            .iter()
            .filter(|grant| grant.gives(principal, &facts.groups, right, now))
            .filter_map(|grant| grant.scope.and(reach.as_ref()?))
            .collect();
        Self { scopes }
    }

    /// Everything, for what Pointsman itself reads.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            scopes: BTreeSet::from([Scope::default()]),
        }
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.scopes.contains(&Scope::default())
    }

    /// Whether nothing is visible.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.scopes.is_empty()
    }

    /// Whether what belongs to `team`, in an environment of this type, is visible.
    #[must_use]
    pub fn covers(&self, team: &TeamName, environment_type: &EnvironmentTypeName) -> bool {
        self.scopes.iter().any(|scope| {
            scope.team.as_ref().is_none_or(|it| it == team)
                && scope
                    .environment_type
                    .as_ref()
                    .is_none_or(|it| it == environment_type)
        })
    }

    /// The scopes, in a fixed order.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }
}
