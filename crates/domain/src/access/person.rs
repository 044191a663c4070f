//! Names of people.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of the principal who shows the token of the first start.
pub const FIRST: &str = "admin";
/// Longest name, in characters.
const NAME_LEN_MAX: usize = 64;

/// The name of a person, as audit events carry it: lower-case letters, digits, `.`, `_` and `-`,
/// starting with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

/// Why a text is no name of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonNameError {
    /// Other characters, or none.
    #[error(
        "{0:?} is not a name: use 1 to {NAME_LEN_MAX} lower-case letters, digits, `.`, `_` or `-`, and start with a letter or a digit"
    )]
    Malformed(String),
    /// The name of the first principal.
    #[error(
        "`{FIRST}` is the name that belongs to the token of the first start; choose another name"
    )]
    First,
}

impl PersonName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = PersonNameError;

    fn from_str(text: &str) -> Result<Self, PersonNameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = text.len() <= NAME_LEN_MAX
            && text.starts_with(plain)
            && text.chars().all(|c| plain(c) || "._-".contains(c));
        match text {
            FIRST => Err(PersonNameError::First),
            _ if good => Ok(Self(text.to_owned())),
            _ => Err(PersonNameError::Malformed(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for PersonName {
    type Error = PersonNameError;
    fn try_from(text: String) -> Result<Self, PersonNameError> {
        text.parse()
    }
}

impl From<PersonName> for String {
    fn from(name: PersonName) -> Self {
        name.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
