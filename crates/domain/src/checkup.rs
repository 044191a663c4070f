//! What a check-up of an account found, before anything depends on it.

use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What, such as `credentials`.
    pub name: String,
    /// What came of it.
    pub status: CheckStatus,
    /// What was found, as a sentence without a full stop.
    pub found: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It could not be found out without changing something.
    Unchecked,
    /// It works, and somebody should look at it.
    Warning,
    /// Deployments here will fail.
    Failed,
}

impl Check {
    /// A check without a remedy.
    #[must_use]
    pub fn new(name: impl Into<String>, status: CheckStatus, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            found: found.into(),
            remedy: None,
        }
    }

    /// The same check, with what to do about it.
    #[must_use]
    pub fn with(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

impl CheckStatus {
    /// The word for people and programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchecked => "unchecked",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}
