//! Points in time and lengths of time, as plain numbers that come in from outside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, the same unit as in the database.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// The time `ms` milliseconds later; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }

    /// Milliseconds that passed since `earlier`; zero when `earlier` is later (clocks do step back).
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// A length of time in whole milliseconds, written for people: `1.5 s`, `40 s`, `2 min 5 s`,
/// `24 h`.
#[must_use]
pub fn human_ms(ms: u64) -> String {
    match (ms / 60_000, ms % 60_000 / 1000) {
        (120.., _) => match (ms / 3_600_000, ms % 3_600_000 / 60_000) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        (0, _) if ms < 10_000 && !ms.is_multiple_of(1000) => format!("{:.1} s", ms as f64 / 1000.0),
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// RFC 3339 in UTC, to the second: `2026-11-22T23:04:10Z`.
impl fmt::Display for UnixMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0 - self.0.rem_euclid(1000)) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}
