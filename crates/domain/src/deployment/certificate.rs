//! What a deployment left behind, against what it was meant to leave behind.

use serde::{Deserialize, Serialize};

/// Compares what a deployment left behind with what it was meant to leave behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// One line per field.
    pub lines: Vec<CertificateLine>,
}

/// One field of a restoration certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateLine {
    /// Which field.
    pub field: String,
    /// Before the deployment.
    pub before: String,
    /// Meant to be now: the baseline plus exactly the intended change.
    pub intended: String,
    /// Seen now.
    pub seen: String,
}

impl Certificate {
    /// Every field is as intended.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lines.iter().all(|line| line.intended == line.seen)
    }
}
