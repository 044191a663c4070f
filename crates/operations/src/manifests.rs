//! Manifests: the catalogue as text. Reading, checking, comparing and applying.
//!
//! ```text
//! text --read--> documents --typed--> Manifest --rules--> plan (what differs) --+--> diff: shown
//! PUT body ------------------------------^                                      `--> apply: stored
//! ```
//!
//! Invariant: `diff` and `apply` are the same path up to the last step, so what was shown is what is
//! done. All or nothing: one fault anywhere, and nothing is stored.

mod apply;
mod backstage;
mod compare;
mod moves;
mod read;
mod rules;

use std::collections::BTreeSet;

use domain::{
    catalogue::{Account, Environment, EnvironmentType, Prometheus, ServerGroup, Service, Team},
    gate::Gate,
};
use serde::Serialize;
use serde_json::Value;
use store::catalogue::Kind;

pub use apply::{Change, Changed, Mode};
pub(super) use apply::{noun, right_to_describe, subject};
pub use compare::Difference;
pub use read::{Document, from_json, from_yaml};

/// Most documents at once.
pub const DOCUMENTS_MAX: usize = store::catalogue::CHANGES_MAX;

/// One entry of the catalogue, as its owner describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// A team.
    Team(Team),
    /// A service.
    Service(Service),
    /// An environment type.
    EnvironmentType(EnvironmentType),
    /// An environment.
    Environment(Environment),
    /// A server group.
    ServerGroup(Box<ServerGroup>),
    /// A Prometheus.
    Prometheus(Prometheus),
    /// An account.
    Account(Account),
}

impl Manifest {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Team(_) => Kind::Team,
            Self::Service(_) => Kind::Service,
            Self::EnvironmentType(_) => Kind::EnvironmentType,
            Self::Environment(_) => Kind::Environment,
            Self::ServerGroup(_) => Kind::ServerGroup,
            Self::Prometheus(_) => Kind::Prometheus,
            Self::Account(_) => Kind::Account,
        }
    }

    /// Its name, unique within the kind.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Team(team) => team.name.to_string(),
            Self::Service(service) => service.name.to_string(),
            Self::EnvironmentType(kind) => kind.name.to_string(),
            Self::Environment(environment) => environment.name.to_string(),
            Self::ServerGroup(group) => group.place().to_string(),
            Self::Prometheus(prometheus) => prometheus.name.to_string(),
            Self::Account(account) => account.name.to_string(),
        }
    }

    /// What it refers to, with the field that does.
    fn references(&self) -> Vec<(&'static str, Kind, String)> {
        match self {
            Self::Team(_) | Self::EnvironmentType(_) | Self::Prometheus(_) | Self::Account(_) => {
                Vec::new()
            }
            Self::Service(service) => {
                let types = service
                    .environment_types
                    .iter()
                    .map(|name| ("environment_types", Kind::EnvironmentType, name.to_string()));
                [("owner", Kind::Team, service.owner.to_string())]
                    .into_iter()
                    .chain(types)
                    .collect()
            }
            Self::Environment(environment) => vec![(
                "environment_type",
                Kind::EnvironmentType,
                environment.environment_type.to_string(),
            )],
            Self::ServerGroup(group) => {
                let asked = group.gates.iter().filter_map(|gate| match gate {
                    Gate::Prometheus(gate) => {
                        Some(("gates", Kind::Prometheus, gate.prometheus.to_string()))
                    }
                    _ => None,
                });
                let place = [
                    ("service", Kind::Service, group.service.to_string()),
                    (
                        "environment",
                        Kind::Environment,
                        group.environment.to_string(),
                    ),
                ];
                let account = group.home().named_account();
                let account = account.map(|(field, name)| (field, Kind::Account, name.to_string()));
                place.into_iter().chain(asked).chain(account).collect()
            }
        }
    }

    /// Instances that it sets aside, at most.
    fn instances(&self) -> u32 {
        match self {
            Self::ServerGroup(group) => group.autoscaling.map_or(0, |b| b.max).max(group.size),
            _ => 0,
        }
    }

    /// The JSON that is stored.
    fn body(&self) -> Value {
        match self {
            Self::Team(team) => json(team),
            Self::Service(service) => json(service),
            Self::EnvironmentType(kind) => json(kind),
            Self::Environment(environment) => json(environment),
            Self::ServerGroup(group) => json(group),
            Self::Prometheus(prometheus) => json(prometheus),
            Self::Account(account) => json(account),
        }
    }
}

fn json(entry: &impl Serialize) -> Value {
    serde_json::to_value(entry).expect("catalogue types have text keys and no failing parts")
}

/// The word of a kind in manifests.
#[must_use]
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Team => "Team",
        Kind::Service => "Service",
        Kind::EnvironmentType => "EnvironmentType",
        Kind::Environment => "Environment",
        Kind::ServerGroup => "ServerGroup",
        Kind::Prometheus => "Prometheus",
        Kind::Account => "Account",
    }
}

fn kind_of(word_read: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| word(*kind) == word_read)
}

/// Says which entries stand twice in a set, each once.
fn twice(manifests: &[Manifest]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let repeated =
        |(_, manifest): &(usize, &Manifest)| !seen.insert((manifest.kind(), manifest.name()));
    manifests
        .iter()
        .enumerate()
        .filter(repeated)
        .map(|(index, _)| index)
        .collect()
}
