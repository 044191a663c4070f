//! Limits of what people write: one language for rules, and the numbers that several nouns share.
//!
//! A written type lists the limits of its fields once, as [`Limited::LIMITS`]. Rules check that list,
//! and the API's description shows it. A limit or a default that belongs to one type stands beside
//! that type; defaults stand in its `Default`.

#[cfg(feature = "schema")]
pub mod schema;

use std::ops::RangeInclusive;

/// A day and a week, in seconds: the longest that anything of a deployment may take.
pub const DAY: u32 = 86_400;
/// Seven days, in seconds.
pub const WEEK: u32 = 7 * DAY;
/// A part of something, in percent.
pub const PERCENT: RangeInclusive<u32> = 1..=100;
/// How long instances may take to become healthy, in seconds.
pub const HEALTH_DEADLINE: RangeInclusive<u32> = 1..=DAY;
/// Most gates of one deployment.
pub const GATES_MAX: u32 = 20;
/// Most names in a list.
pub const NAMES_MAX: u32 = 50;
/// Longest text for people, in characters; longest question, in bytes.
pub const TEXT_MAX: u32 = 4096;
/// Longest address, in bytes.
pub const URL_MAX: u32 = 2048;

/// One fault in what a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the field, such as `health.path`; empty for the whole.
    pub field: String,
    /// What would be right, as the end of a sentence that begins with the field: `must be ...`.
    pub message: String,
}

/// A written type whose fields have limits.
pub trait Limited: Sized + 'static {
    /// One row for each field that has one.
    const LIMITS: &'static [Limit<Self>];
}

/// The limit of one field of `T`.
#[derive(Debug)]
pub struct Limit<T> {
    /// The field, as it is written.
    pub field: &'static str,
    /// What is allowed.
    pub allowed: RangeInclusive<u32>,
    /// What of the field is limited.
    pub of: Of<T>,
}

/// What of a field is limited.
#[derive(Debug)]
pub enum Of<T> {
    /// A number; `None` where it may be left out and is.
    Number(fn(&T) -> Option<u32>),
    /// The number of items in a list or a map.
    Items(fn(&T) -> usize),
    /// Each number in a list.
    Each(fn(&T) -> &[u8]),
    /// The length of a text, in bytes.
    Bytes(fn(&T) -> Option<usize>),
    /// A text for people: its length in characters, and that nothing in it moves a cursor.
    Text(fn(&T) -> &str),
}

impl<T> Limit<T> {
    /// Limits a number that may be left out.
    pub const fn number(
        field: &'static str,
        allowed: RangeInclusive<u32>,
        number: fn(&T) -> Option<u32>,
    ) -> Self {
        let of = Of::Number(number);
        Self { field, allowed, of }
    }

    /// Limits how many items a list or a map has.
    pub const fn items(
        field: &'static str,
        allowed: RangeInclusive<u32>,
        items: fn(&T) -> usize,
    ) -> Self {
        let of = Of::Items(items);
        Self { field, allowed, of }
    }

    /// Limits each number in a list.
    pub const fn each(
        field: &'static str,
        allowed: RangeInclusive<u32>,
        numbers: fn(&T) -> &[u8],
    ) -> Self {
        let of = Of::Each(numbers);
        Self { field, allowed, of }
    }

    /// Limits how long a text is that may be left out, in bytes.
    pub const fn bytes(
        field: &'static str,
        allowed: RangeInclusive<u32>,
        bytes: fn(&T) -> Option<usize>,
    ) -> Self {
        let of = Of::Bytes(bytes);
        Self { field, allowed, of }
    }

    /// Limits a text for people.
    pub const fn text(field: &'static str, text: fn(&T) -> &str) -> Self {
        let of = Of::Text(text);
        Self {
            field,
            allowed: 0..=TEXT_MAX,
            of,
        }
    }

    /// What is wrong with this field of `it`.
    fn fault(&self, it: &T) -> Option<String> {
        let inside = |number: u32| self.allowed.contains(&number);
        let counted = |count: usize| inside(u32::try_from(count).unwrap_or(u32::MAX));
        let (low, high) = (self.allowed.start(), self.allowed.end());
        match self.of {
            Of::Number(number) => between(number(it)?, &self.allowed),
            Of::Each(numbers) => {
                let outside = numbers(it).iter().find(|n| !inside(u32::from(**n)))?;
                between(u32::from(*outside), &self.allowed)
            }
            Of::Items(count) if !counted(count(it)) => {
                Some(format!("must have {low} to {high} items"))
            }
            Of::Bytes(count) if !counted(count(it)?) => {
                Some(format!("must have {low} to {high} bytes"))
            }
            Of::Text(text) if !counted(text(it).chars().count()) => {
                Some(format!("must have at most {high} characters"))
            }
            Of::Text(text) => unprintable(text(it)).then(|| NO_CONTROL.to_owned()),
            Of::Items(_) | Of::Bytes(_) => None,
        }
    }
}

fn between(number: u32, allowed: &RangeInclusive<u32>) -> Option<String> {
    let (low, high) = (allowed.start(), allowed.end());
    let rule = match high {
        &u32::MAX => format!("must be at least {low}"),
        high => format!("must be between {low} and {high}"),
    };
    (!allowed.contains(&number)).then_some(rule)
}

/// Collects faults, in the order in which they are found.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Everything that was found.
    #[must_use]
    pub fn all(self) -> Vec<Fault> {
        self.0
    }

    /// Notes a fault of `field`.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let (field, message) = (field.into(), message.into());
        self.0.push(Fault { field, message });
    }

    /// Notes a fault of `field` unless it is `good`.
    pub fn unless(&mut self, good: bool, field: &str, message: &str) {
        if !good {
            self.add(field, message);
        }
    }

    /// Checks every limit of `it`, which stands at `at`; empty for the whole.
    pub fn limits<T: Limited>(&mut self, at: &str, it: &T) {
        for limit in T::LIMITS {
            if let Some(message) = limit.fault(it) {
                self.add(path(at, limit.field), message);
            }
        }
    }

    /// Checks a text that people see, of any length.
    pub fn printable(&mut self, field: &str, text: &str) {
        self.unless(!unprintable(text), field, NO_CONTROL);
    }
}

const NO_CONTROL: &str = "must not contain control characters";

/// Whether anything but line ends and tabs moves a cursor.
fn unprintable(text: &str) -> bool {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    text.chars().any(control)
}

fn path(at: &str, field: &str) -> String {
    match at {
        "" => field.to_owned(),
        at => format!("{at}.{field}"),
    }
}

/// Whether `url` is an address that can be asked over HTTP. A user name or a password in it would be shown
/// wherever the address is.
#[must_use]
pub fn is_http(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or(url.strip_prefix("https://"));
    let Some(rest) = rest else { return false };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let odd = |c: char| c.is_whitespace() || c.is_control();
    !host.is_empty() && !host.contains('@') && !url.contains(odd)
}

/// Whether paths can be appended to `url`: it has no query and no fragment, which would swallow them.
#[must_use]
pub fn is_http_base(url: &str) -> bool {
    is_http(url) && !url.contains(['?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Written {
        percent: u32,
        names: Vec<String>,
        shares: Vec<u8>,
        text: String,
        said: String,
        limit: Option<u32>,
    }

    impl Limited for Written {
        const LIMITS: &'static [Limit<Self>] = &[
            Limit::number("percent", PERCENT, |it| Some(it.percent)),
            Limit::number("limit", 1..=u32::MAX, |it| it.limit),
            Limit::items("names", 0..=1, |it| it.names.len()),
            Limit::each("shares", 0..=100, |it| &it.shares),
            Limit::bytes("text", 1..=3, |it| Some(it.text.len())),
            Limit::text("said", |it| &it.said),
        ];
    }

    fn faults(at: &str, it: &Written) -> Vec<String> {
        let mut faults = Faults::default();
        faults.limits(at, it);
        let faults = faults.all().into_iter();
        faults
            .map(|Fault { field, message }| format!("{field} {message}"))
            .collect()
    }

    #[test]
    fn every_limit_is_checked_and_says_what_is_allowed() {
        let good = Written {
            percent: 1,
            names: Vec::new(),
            shares: vec![0, 100],
            text: "abc".to_owned(),
            said: "grün\n\tund blau".to_owned(),
            limit: None,
        };
        assert_eq!(faults("", &good), [""; 0]);
        let bad = Written {
            percent: 101,
            names: vec![String::new(), String::new()],
            shares: vec![0, 101, 102],
            text: String::new(),
            said: "\u{1b}[2J".to_owned(),
            limit: Some(0),
        };
        assert_eq!(
            faults("part", &bad),
            [
                "part.percent must be between 1 and 100",
                "part.limit must be at least 1",
                "part.names must have 0 to 1 items",
                "part.shares must be between 0 and 100",
                "part.text must have 1 to 3 bytes",
                "part.said must not contain control characters",
            ]
        );
    }
}
