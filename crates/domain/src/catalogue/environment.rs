//! Environments.

use serde::{Deserialize, Serialize};

use crate::names::{EnvironmentName, EnvironmentTypeName};

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
