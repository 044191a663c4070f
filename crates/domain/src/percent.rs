//! Percent with hundredths, as people write it: `0.2`, `5`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A part of something, in hundredths of a percent; written in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent {
    hundredths: u32,
}

impl Percent {
    /// The least that is not nothing.
    pub const LEAST: Self = Self::hundredths(1);
    /// Everything.
    pub const ALL: Self = Self::hundredths(10_000);

    /// So many hundredths of a percent.
    #[must_use]
    pub const fn hundredths(hundredths: u32) -> Self {
        Self { hundredths }
    }

    /// The same in millionths.
    #[must_use]
    pub fn ppm(self) -> u32 {
        self.hundredths.saturating_mul(100)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f64::from(self.hundredths) / 100.0).fmt(f)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.hundredths % 100 {
            0 => serializer.serialize_u32(self.hundredths / 100),
            _ => serializer.serialize_f64(f64::from(self.hundredths) / 100.0),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        let hundredths = percent * 100.0;
        let whole = hundredths.round();
        if !(0.0..=f64::from(u32::MAX)).contains(&whole) || (hundredths - whole).abs() > 1e-6 {
            return Err(de::Error::custom(
                "must be a percentage with at most two decimals, such as 0.25",
            ));
        }
        Ok(Self::hundredths(whole as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for (text, hundredths) in [
            ("0", 0),
            ("0.2", 20),
            ("0.01", 1),
            ("5", 500),
            ("12.34", 1234),
        ] {
            let percent: Percent = serde_json::from_str(text).unwrap();
            assert_eq!(percent, Percent::hundredths(hundredths));
            assert_eq!(serde_json::to_string(&percent).unwrap(), text);
            assert_eq!(percent.to_string(), text);
        }
        for bad in ["0.001", "-1", "1e300"] {
            let refused = serde_json::from_str::<Percent>(bad)
                .unwrap_err()
                .to_string();
            assert!(refused.contains("at most two decimals"), "{bad}: {refused}");
        }
    }
}
