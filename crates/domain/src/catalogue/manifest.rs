//! A manifest: one entry of the catalogue, as its owner describes it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeSeed};

use super::{
    Account, Environment, EnvironmentType, Freeze, Kind, Prometheus, ServerGroup, Service, Team,
};
use crate::bounds::{Fault, Faults};

/// What an entry refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The field that refers.
    pub field: &'static str,
    /// The kind of what it refers to.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// `field` names the `kind` of this name.
    pub(super) fn of(field: &'static str, kind: Kind, name: &impl fmt::Display) -> Self {
        let name = name.to_string();
        Self { field, kind, name }
    }
}

/// What the entries of every kind say of themselves.
pub(super) trait Entry {
    /// The name, unique within the kind.
    fn name(&self) -> String;

    /// What it refers to.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// Notes the rules that it breaks, beyond what its types say.
    fn faults(&self, faults: &mut Faults);

    /// Instances that it reserves, at most.
    fn instances(&self) -> u32 {
        0
    }
}

/// One entry of the catalogue, as its owner describes it. Reading one is asked of its [`Kind`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Manifest {
    /// A Prometheus.
    Prometheus(Prometheus),
    /// An account.
    Account(Account),
    /// A team.
    Team(Team),
    /// An environment type.
    EnvironmentType(EnvironmentType),
    /// A service.
    Service(Service),
    /// An environment.
    Environment(Environment),
    /// A freeze.
    Freeze(Freeze),
    /// A server group.
    ServerGroup(Box<ServerGroup>),
}

impl Manifest {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Prometheus(_) => Kind::Prometheus,
            Self::Account(_) => Kind::Account,
            Self::Team(_) => Kind::Team,
            Self::EnvironmentType(_) => Kind::EnvironmentType,
            Self::Service(_) => Kind::Service,
            Self::Environment(_) => Kind::Environment,
            Self::Freeze(_) => Kind::Freeze,
            Self::ServerGroup(_) => Kind::ServerGroup,
        }
    }

    fn entry(&self) -> &dyn Entry {
        match self {
            Self::Prometheus(entry) => entry,
            Self::Account(entry) => entry,
            Self::Team(entry) => entry,
            Self::EnvironmentType(entry) => entry,
            Self::Service(entry) => entry,
            Self::Environment(entry) => entry,
            Self::Freeze(entry) => entry,
            Self::ServerGroup(entry) => entry.as_ref(),
        }
    }

    /// Its name, unique within the kind.
    #[must_use]
    pub fn name(&self) -> String {
        self.entry().name()
    }

    /// What it refers to.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        self.entry().references()
    }

    /// Every rule that it breaks, beyond what its types say.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        self.entry().faults(&mut faults);
        faults.all()
    }

    /// Instances that it reserves, at most.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.entry().instances()
    }
}

#[cfg(feature = "schema")]
impl Kind {
    /// The limits of the fields of every kind.
    pub(crate) fn limits(into: &mut crate::bounds::schema::Limits<'_>) {
        into.of::<Prometheus>();
        into.of::<Account>();
        into.of::<Team>();
        into.of::<EnvironmentType>();
        into.of::<Service>();
        into.of::<Environment>();
        into.of::<Freeze>();
        into.of::<ServerGroup>();
    }

    /// The schemas of a manifest of this kind, itself first, and then all that it refers to.
    #[must_use]
    pub fn schemas(self) -> Vec<crate::bounds::schema::Named> {
        use crate::bounds::schema::with_parts;
        match self {
            Self::Prometheus => with_parts::<Prometheus>(),
            Self::Account => with_parts::<Account>(),
            Self::Team => with_parts::<Team>(),
            Self::EnvironmentType => with_parts::<EnvironmentType>(),
            Self::Service => with_parts::<Service>(),
            Self::Environment => with_parts::<Environment>(),
            Self::Freeze => with_parts::<Freeze>(),
            Self::ServerGroup => with_parts::<ServerGroup>(),
        }
    }
}

/// Reads the fields of a manifest of this kind.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Manifest;

    fn deserialize<D: Deserializer<'de>>(self, fields: D) -> Result<Manifest, D::Error> {
        Ok(match self {
            Self::Prometheus => Manifest::Prometheus(Prometheus::deserialize(fields)?),
            Self::Account => Manifest::Account(Account::deserialize(fields)?),
            Self::Team => Manifest::Team(Team::deserialize(fields)?),
            Self::EnvironmentType => {
                Manifest::EnvironmentType(EnvironmentType::deserialize(fields)?)
            }
            Self::Service => Manifest::Service(Service::deserialize(fields)?),
            Self::Environment => Manifest::Environment(Environment::deserialize(fields)?),
            Self::Freeze => Manifest::Freeze(Freeze::deserialize(fields)?),
            Self::ServerGroup => Manifest::ServerGroup(Box::deserialize(fields)?),
        })
    }
}
