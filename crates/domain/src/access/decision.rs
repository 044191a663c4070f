//! The one decision, and the proof of it.

use super::{Grant, GrantId, GroupName, Principal, Resource, Right, Target};
use crate::time::UnixMs;

/// What is stored at one moment, and decides whether somebody may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The person is there and not disabled, and the credential has neither ended nor been taken away.
    pub counts: bool,
    /// The groups of the person.
    pub groups: Vec<GroupName>,
    /// The grants that may concern the principal.
    pub grants: Vec<Grant>,
    /// What the resource is stored as.
    pub target: Target,
}

/// Proof that a principal may use a right. What changes something asks for it.
///
/// Only [`may`] makes one:
///
/// ```compile_fail,E0451
/// use domain::access::{Allowed, GrantId, Principal, Right};
/// fn forged(principal: Principal, grant: GrantId) -> Allowed {
///     Allowed { principal, right: Right::Deploy, grant }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    principal: Principal,
    right: Right,
    grant: GrantId,
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

    /// By which grant.
    #[must_use]
    pub fn grant(&self) -> &GrantId {
        &self.grant
    }
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A grant that gives the right there.
    Grant,
    /// A token that reaches as far as its owner's grants.
    Reach,
    /// The credential: it ended, was taken away, or its owner is disabled.
    Credential,
}

/// Why a principal may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Who asked.
    pub principal: String,
    /// The right that is missing.
    pub right: Right,
    /// For what.
    pub resource: String,
    /// What is missing.
    pub missing: Missing,
}

impl std::error::Error for Denied {}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            principal,
            right,
            resource,
            missing,
        } = self;
        match missing {
            Missing::Grant => write!(
                f,
                "{principal} may not do this: no grant gives them the right `{right}` for {resource}; someone with the right `{}` can grant it",
                Right::Administer
            ),
            Missing::Reach => write!(
                f,
                "this token may not do this: it does not reach the right `{right}` for {resource}, though {principal} has it; use a token that does"
            ),
            Missing::Credential => write!(
                f,
                "{principal} is no longer let in: the session or token has ended, or the account is disabled"
            ),
        }
    }
}

/// Decides whether `principal` may use `right` on `resource` at the time `now`.
///
/// # Errors
/// [`Denied`] when no grant gives the right there, or the credential does not reach it.
pub fn may(
    principal: &Principal,
    right: Right,
    resource: Resource<'_>,
    facts: &Facts,
    now: UnixMs,
) -> Result<Allowed, Denied> {
    let denied = |missing| Denied {
        principal: principal.name().to_owned(),
        right,
        resource: resource.to_string(),
        missing,
    };
    if !facts.counts {
        return Err(denied(Missing::Credential));
    }
    let counts = resource.counts(right);
    let gives = |grant: &&Grant| {
        grant.gives(principal, &facts.groups, right, now)
            && grant.scope.covers_halves(&facts.target, counts)
    };
    let grant = facts.grants.iter().find(gives);
    let grant = grant.ok_or_else(|| denied(Missing::Grant))?;
    let reach = principal.reach().of(right);
    if !reach.is_some_and(|scope| scope.covers_halves(&facts.target, counts)) {
        return Err(denied(Missing::Reach));
    }
    Ok(Allowed {
        principal: principal.clone(),
        right,
        grant: grant.id.clone(),
    })
}
