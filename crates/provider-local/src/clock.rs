//! The clock of this machine.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::time::UnixMs;

/// The time of day.
#[must_use]
pub(crate) fn now() -> UnixMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMs(0).plus_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
