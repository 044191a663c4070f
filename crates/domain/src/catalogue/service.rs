//! Services, and the strategies that they may be deployed with.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Kind,
    manifest::{Entry, Reference},
};
use crate::{
    bounds::{Faults, Limit, Limited},
    names::{EnvironmentTypeName, ServiceName, TeamName},
};

/// How a new release becomes the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// Double the group, keep the new half.
    ScaleUp,
    /// Let AWS replace the instances of the group.
    InstanceRefresh,
    /// Fill the other slice, move the users over, all at once or by weights.
    BlueGreen,
    /// Fill the other slice, then move the users over in stages, watching what they get.
    Canary,
    /// Move the users to what the other slice runs already.
    Switch,
}

impl std::fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ScaleUp => "scale-up",
            Self::InstanceRefresh => "instance-refresh",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Switch => "switch",
        })
    }
}

/// A catalogued deployable with an owning team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique name of the service.
    pub name: ServiceName,
    /// The team that owns the service.
    pub owner: TeamName,
    /// What the service does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Environment types that the service may be deployed to. Empty: none.
    #[serde(default)]
    pub environment_types: BTreeSet<EnvironmentTypeName>,
    /// Strategies that the service may be deployed with. Left out: all.
    #[serde(default = "every_strategy")]
    #[cfg_attr(feature = "schema", schema(default = every_strategy))]
    pub strategies: BTreeSet<StrategyKind>,
}

fn every_strategy() -> BTreeSet<StrategyKind> {
    BTreeSet::from([
        StrategyKind::ScaleUp,
        StrategyKind::InstanceRefresh,
        StrategyKind::BlueGreen,
        StrategyKind::Canary,
        StrategyKind::Switch,
    ])
}

impl Limited for Service {
    const LIMITS: &'static [Limit<Self>] = &[Limit::text("description", |it| &it.description)];
}

impl Entry for Service {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn references(&self) -> Vec<Reference> {
        let types = self.environment_types.iter();
        let types =
            types.map(|name| Reference::of("environment_types", Kind::EnvironmentType, name));
        let owner = Reference::of("owner", Kind::Team, &self.owner);
        [owner].into_iter().chain(types).collect()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
        let rule = "allow at least one strategy, or leave the field out";
        faults.unless(!self.strategies.is_empty(), "strategies", rule);
    }
}
