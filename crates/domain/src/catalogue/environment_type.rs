//! Environment types.

use serde::{Deserialize, Serialize};

use super::manifest::Entry;
use crate::{
    bounds::{Faults, Limit, Limited},
    names::EnvironmentTypeName,
};

/// A class of environments that carries policy, such as `staging` or `production`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvironmentType {
    /// Unique name of the environment type.
    pub name: EnvironmentTypeName,
    /// What the environment type is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Deployments are approved by another person than the one who requested them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval_by_another: bool,
}

impl Limited for EnvironmentType {
    const LIMITS: &'static [Limit<Self>] = &[Limit::text("description", |it| &it.description)];
}

impl Entry for EnvironmentType {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
    }
}
