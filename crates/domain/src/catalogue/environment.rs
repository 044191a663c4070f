//! Environments.

use serde::{Deserialize, Serialize};

use super::{
    Kind,
    manifest::{Entry, Reference},
};
use crate::{
    bounds::{Faults, Limit, Limited},
    names::{EnvironmentName, EnvironmentTypeName},
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
        vec![Reference::of(
            "environment_type",
            Kind::EnvironmentType,
            class,
        )]
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
    }
}
