//! Teams.

use serde::{Deserialize, Serialize};

use crate::names::TeamName;

/// People who own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Unique name.
    pub name: TeamName,
    /// What the team does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to reach them: an e-mail address, a channel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
}
