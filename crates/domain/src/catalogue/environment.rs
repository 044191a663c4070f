//! Environments.

use serde::{Deserialize, Serialize};

use super::{
    Kind,
    manifest::{Entry, Reference},
};
use crate::{
    bounds::{Faults, Limit, Limited},
    names::{EnvironmentName, EnvironmentTypeName, TeamName},
};

/// Where services run for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Unique name of the environment.
    pub name: EnvironmentName,
    /// Type of the environment; rules belong to types.
    pub environment_type: EnvironmentTypeName,
    /// Team that owns the environment: who may lock and describe it by a right within that team. Left
    /// out: only those whose rights hold for all teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<TeamName>,
    /// What the environment is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Maximum number of instances in the environment, those of running deployments included. Left out:
    /// no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_limit: Option<u32>,
}

impl Limited for Environment {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::text("description", |it| &it.description),
        Limit::number("capacity_limit", 1..=u32::MAX, |it| it.capacity_limit),
    ];
}

impl Entry for Environment {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn references(&self) -> Vec<Reference> {
        let class = &self.environment_type;
        let class = Reference::of("environment_type", Kind::EnvironmentType, class);
        let owner = self.owner.as_ref();
        let owner = owner.map(|owner| Reference::of("owner", Kind::Team, owner));
        [Some(class), owner].into_iter().flatten().collect()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
    }
}
