//! Who asks, by what credential, and about what.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use super::{PersonName, Right, Scope};
use crate::{
    catalogue::Kind,
    names::{DeploymentId, EnvironmentName, EnvironmentTypeName, Place, ServiceName, TeamName},
};

/// The id of a session, as its owner sees it; not its secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub String);

/// The id of a token, as its owner sees it; not its secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(pub String);

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A person, who can sign in.
    Person(PersonName),
    /// A program of a team. It has tokens, cannot sign in, and cannot approve.
    ServiceAccount(PersonName),
}

/// By which credential somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Nothing that can be taken away by itself: the token of the one who started the server on this
    /// machine, in a file that only they can read.
    Owner,
    /// A token.
    Token(TokenId),
    /// A session of a browser.
    Session(SessionId),
}

/// How far a credential reaches into what its owner may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Everything that the owner may do.
    Full,
    /// Only these rights, and only there.
    Narrow {
        /// The rights.
        rights: BTreeSet<Right>,
        /// Where.
        scope: Scope,
    },
    /// Only the metrics, for a scraper.
    Scrape,
}

impl Reach {
    /// The scope within which `right` can be used by this credential at all; `None`: nowhere.
    #[must_use]
    pub fn of(&self, right: Right) -> Option<Scope> {
        match self {
            Self::Full => Some(Scope::default()),
            Self::Narrow { rights, scope } => rights.contains(&right).then(|| scope.clone()),
            Self::Scrape => None,
        }
    }
}

/// Who is signed in. Made by authentication alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    who: Who,
    via: Via,
    reach: Reach,
    from: Option<IpAddr>,
}

impl Principal {
    /// The one who showed a valid credential.
    #[must_use]
    pub fn authenticated(who: Who, via: Via, reach: Reach) -> Self {
        Self {
            who,
            via,
            reach,
            from: None,
        }
    }

    /// Somebody who is asked about, with all that they have; they are not here.
    #[must_use]
    pub fn asked_about(who: Who) -> Self {
        Self::authenticated(who, Via::Owner, Reach::Full)
    }

    /// The same, at this address.
    #[must_use]
    pub fn at(mut self, from: IpAddr) -> Self {
        self.from = Some(from);
        self
    }

    /// Who.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// By which credential.
    #[must_use]
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// How far the credential reaches.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// At which address, if that is known.
    #[must_use]
    pub fn from(&self) -> Option<IpAddr> {
        self.from
    }

    /// The name, as it is stored.
    #[must_use]
    pub fn person(&self) -> &PersonName {
        match &self.who {
            Who::Person(name) | Who::ServiceAccount(name) => name,
        }
    }

    /// The name, for records and people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.person().as_str()
    }
}

/// What a use case is about, as the caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// The whole installation: the audit log, people, accounts.
    Everything,
    /// What no team owns and everybody refers to: accounts, Prometheus servers, freezes.
    Shared(Kind, &'a str),
    /// What a team owns.
    Team(&'a TeamName),
    /// A type of environments.
    EnvironmentType(&'a EnvironmentTypeName),
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
            Self::Shared(kind, name) => write!(f, "{kind} {name}"),
            Self::Team(name) => write!(f, "team {name}"),
            Self::EnvironmentType(name) => write!(f, "environment type {name}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Place(place) => write!(f, "{place}"),
            Self::Deployment(id) => write!(f, "deployment {id}"),
        }
    }
}

impl Resource<'_> {
    /// Which halves of a scope count for `right` here: the team, and the environment type. A service is
    /// seen, and its releases are made, whatever the types of the environments where it runs; an
    /// environment is seen whoever owns what runs there. To change either, a grant has to hold for
    /// all of it.
    pub(super) fn counts(&self, right: Right) -> (bool, bool) {
        match (self, right) {
            (Self::Service(_) | Self::Team(_), Right::View | Right::Release) => (true, false),
            (Self::Environment(_) | Self::EnvironmentType(_), Right::View) => (false, true),
            (Self::Shared(..), Right::View) => (false, false),
            _ => (true, true),
        }
    }
}
