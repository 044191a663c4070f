//! Points in time and lengths of time, as plain numbers that come in from outside.

use std::{fmt, str::FromStr};

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

/// A moment in the life of a deployment: for how many milliseconds it was driven before. No clock can
/// set it, and it stands still while nobody drives the deployment.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DrivenMs(pub u64);

impl DrivenMs {
    /// The moment `ms` milliseconds later; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds that passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a time as in RFC 3339, such as 2026-12-20T18:00:00Z")]
pub struct UnixMsError;

/// Reads RFC 3339, to the second; an offset other than `Z` is understood.
impl FromStr for UnixMs {
    type Err = UnixMsError;
    fn from_str(text: &str) -> Result<Self, UnixMsError> {
        let time: jiff::Timestamp = text.parse().map_err(|_| UnixMsError)?;
        Ok(Self(time.as_millisecond().div_euclid(1000) * 1000))
    }
}

/// For `serde(with)`: a point in time as people write it, in RFC 3339.
pub mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::UnixMs;

    /// Writes it in UTC, to the second.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &UnixMs, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the text is no such time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixMs, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(Error::custom)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, written) in [
            ("2026-12-20T18:00:00Z", "2026-12-20T18:00:00Z"),
            ("2026-12-20T18:00:00.9+01:00", "2026-12-20T17:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
        ] {
            let time: UnixMs = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
        }
        for text in ["", "2026-12-20", "2026-12-20T18:00:00", "tomorrow"] {
            assert_eq!(text.parse::<UnixMs>(), Err(UnixMsError), "{text}");
        }
    }
}
