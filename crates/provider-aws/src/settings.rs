//! How accounts are polled and called.

use std::time::Duration;

use aws_credential_types::Credentials;

/// How old AWS's answers may be by default, in milliseconds. AWS names no number ("Eventual consistency
/// in the Amazon EC2 API", read 2026-11). Just below the time between two polls, so that what two polls
/// in a row show is true.
const CONSISTENCY_MS: u64 = 4500;
/// How an account is polled and called.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The time between two polls while nothing changes.
    pub poll_every: Duration,
    /// The shortest time between two polls, after a change or a new question.
    pub poll_soonest: Duration,
    /// How old AWS's answers may be, in milliseconds: its APIs are eventually consistent.
    pub consistency_ms: u64,
    /// Keep calls below AWS's rate limits.
    pub rate_limited: bool,
    /// Credentials to sign with in place of the SDK's usual chain, for tests.
    pub credentials: Option<Credentials>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_every: Duration::from_secs(5),
            poll_soonest: Duration::from_secs(1),
            consistency_ms: CONSISTENCY_MS,
            rate_limited: true,
            credentials: None,
        }
    }
}
