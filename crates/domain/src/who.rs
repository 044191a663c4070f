//! Who can act: on whom a wait, a failure or an objection depends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who can end a wait, remove the cause of a failure, or lift an objection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoCanAct {
    /// Nobody has to: it ends by itself, at `until` where that is known.
    Time,
    /// Nobody has to: Pointsman and the provider are working on it.
    Engine,
    /// A person who may approve the deployment.
    Approver,
    /// A person who steers deployments: pauses and resumes them, locks environments, chooses what is
    /// deployed and how.
    Operator,
    /// A person who describes the service in the catalogue and creates its releases.
    Owner,
    /// A person who administers what the provider runs on, such as an AWS account.
    ProviderAdministrator,
}

impl WhoCanAct {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Engine => "engine",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::ProviderAdministrator => "provider_administrator",
        }
    }
}

impl fmt::Display for WhoCanAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
