//! How accounts are looked at and called.

use std::time::Duration;

use aws_credential_types::Credentials;

/// How old what AWS shows may be, unless somebody knows better, in milliseconds. AWS names no number
/// ("Eventual consistency in the Amazon EC2 API", read 2026-11). Just below the time between two looks,
/// so that what the first shows and the second shows again is true.
const CONSISTENCY_MS: u64 = 4500;
/// How an account is looked at.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Two looks are so far apart while nothing is changed.
    pub look_every: Duration,
    /// A look follows so soon after a change, or when somebody new asks.
    pub look_soonest: Duration,
    /// How old what AWS shows may be, in milliseconds: its APIs are eventually consistent.
    pub consistency_ms: u64,
    /// Pace calls by AWS's token buckets.
    pub paced: bool,
    /// Sign with these, where the usual chain shall not be asked: tests.
    pub credentials: Option<Credentials>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(5),
            look_soonest: Duration::from_secs(1),
            consistency_ms: CONSISTENCY_MS,
            paced: true,
            credentials: None,
        }
    }
}
