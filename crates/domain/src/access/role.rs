//! The rights that there are, and the fixed bundles of them that grants name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What may be done. Every use case needs exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See what is live, deployments, the catalogue.
    View,
    /// Read the logs of instances.
    ViewLogs,
    /// Read and verify the audit log.
    ViewAudit,
    /// Create and withdraw releases.
    Release,
    /// Plan and request deployments.
    Deploy,
    /// Pause, resume, promote and abort deployments.
    Drive,
    /// Bring back the release before.
    RollBack,
    /// Approve or reject where a deployment waits for a person.
    Approve,
    /// Lock and unlock environments.
    Lock,
    /// Describe services and server groups.
    Describe,
    /// Describe environments and accounts, check and import them, patch server groups.
    Operate,
    /// Describe environment types and the rules that they carry.
    Govern,
    /// Lift a rule for one place, one release, until a time.
    Override,
    /// Manage people, their tokens and their grants.
    Administer,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 14] = [
        Self::View,
        Self::ViewLogs,
        Self::ViewAudit,
        Self::Release,
        Self::Deploy,
        Self::Drive,
        Self::RollBack,
        Self::Approve,
        Self::Lock,
        Self::Describe,
        Self::Operate,
        Self::Govern,
        Self::Override,
        Self::Administer,
    ];

    /// The word for it, as JSON and people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::ViewLogs => "view_logs",
            Self::ViewAudit => "view_audit",
            Self::Release => "release",
            Self::Deploy => "deploy",
            Self::Drive => "drive",
            Self::RollBack => "roll_back",
            Self::Approve => "approve",
            Self::Lock => "lock",
            Self::Describe => "describe",
            Self::Operate => "operate",
            Self::Govern => "govern",
            Self::Override => "override",
            Self::Administer => "administer",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fixed bundle of rights. An admin is no deployer: managing people gives no right to deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees what is live and why.
    Viewer,
    /// Deploys what it sees, and rolls it back.
    Deployer,
    /// Answers where a deployment waits for a person.
    Approver,
    /// Runs environments, accounts and server groups.
    Operator,
    /// Makes the rules.
    Governor,
    /// Manages people.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Viewer,
        Self::Deployer,
        Self::Approver,
        Self::Operator,
        Self::Governor,
        Self::Admin,
    ];

    /// The word for it, as JSON and people write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Governor => "governor",
            Self::Admin => "admin",
        }
    }

    /// The rights that it gives.
    #[must_use]
    pub fn rights(self) -> &'static [Right] {
        use Right as R;
        match self {
            Self::Viewer => &[R::View],
            Self::Deployer => &[
                R::View,
                R::ViewLogs,
                R::Release,
                R::Deploy,
                R::Drive,
                R::RollBack,
            ],
            Self::Approver => &[R::View, R::Approve],
            Self::Operator => &[
                R::View,
                R::ViewLogs,
                R::Release,
                R::Deploy,
                R::Drive,
                R::RollBack,
                R::Approve,
                R::Lock,
                R::Describe,
                R::Operate,
            ],
            Self::Governor => &[R::View, R::ViewAudit, R::Govern],
            Self::Admin => &[R::ViewAudit, R::Administer],
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
