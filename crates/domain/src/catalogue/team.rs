//! Teams.

use serde::{Deserialize, Serialize};

use super::manifest::Entry;
use crate::{
    bounds::{Faults, Limit, Limited},
    names::TeamName,
};

/// People who own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Unique name of the team.
    pub name: TeamName,
    /// What the team does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to reach the team: an e-mail address, a channel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
}

impl Limited for Team {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::text("description", |it| &it.description),
        Limit::text("contact", |it| &it.contact),
    ];
}

impl Entry for Team {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
    }
}
