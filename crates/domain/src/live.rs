//! What is live at a place.

use crate::{
    names::{DeploymentId, Place},
    release::Launch,
    time::UnixMs,
};

/// What is live at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Which service, where.
    pub place: Place,
    /// What its instances were started from.
    pub launch: Launch,
    /// Since when.
    pub since: UnixMs,
    /// The deployment that made it live.
    pub deployment: DeploymentId,
    /// What was live before.
    pub previous: Option<Launch>,
}
