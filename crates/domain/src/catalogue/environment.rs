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
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Unique name.
    pub name: EnvironmentName,
    /// Its class.
    pub environment_type: EnvironmentTypeName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Most instances that may run here at once, doubling included. `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_limit: Option<u32>,
}

impl Limited for Environment {
    const LIMITS: &'static [Limit<Self>] = &[Limit::number("capacity_limit", 1..=u32::MAX, |it| {
        it.capacity_limit
    })];
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
        faults.text("description", &self.description);
        faults.limits("", self);
    }
}
