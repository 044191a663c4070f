//! Amounts as people type them: percentages and times.

use std::str::FromStr;

/// A number of percent, written `50` or `50%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u32);

/// A length of time in whole seconds, written `90`, `90s`, `2m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(pub u32);

impl FromStr for Percent {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).trim();
        let number = number
            .parse()
            .ok()
            .filter(|number| (1..=100).contains(number));
        number
            .map(Self)
            .ok_or_else(|| "write a percentage from 1% to 100%".to_owned())
    }
}

impl FromStr for Seconds {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "" | "s" => Some(1),
            "m" | "min" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let number: Option<u32> = digits.trim().parse().ok();
        unit.zip(number)
            .and_then(|(unit, number)| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| "write a time like 30s, 2m or 1h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_percentages_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("2m", 120),
            ("2min", 120),
            ("1h", 3600),
        ] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "s", "2d", "-1s", "1.5m", "99999999999", "2000000h"] {
            let error = text.parse::<Seconds>().unwrap_err();
            assert_eq!(error, "write a time like 30s, 2m or 1h", "{text}");
        }
        assert_eq!("50%".parse(), Ok(Percent(50)));
        assert_eq!("100".parse(), Ok(Percent(100)));
        for text in ["0%", "101%", "half", ""] {
            let error = text.parse::<Percent>().unwrap_err();
            assert_eq!(error, "write a percentage from 1% to 100%", "{text}");
        }
    }
}
