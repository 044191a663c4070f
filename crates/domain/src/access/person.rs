//! Names of people, service accounts and groups.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of the person who started the server on their own machine.
pub const OWNER: &str = "admin";
/// Longest name, in characters.
const NAME_LEN_MAX: usize = 64;

/// The name of a person or of a service account, as audit events carry it: lower-case letters,
/// digits, `.`, `_` and `-`, starting with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonName(String);

/// The name of a group of people, of our own or of a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// Why a text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: use 1 to {NAME_LEN_MAX} lower-case letters, digits, `.`, `_` or `-`, and start with a letter or a digit"
)]
pub struct PersonNameError(String);

fn checked(text: &str) -> Result<String, PersonNameError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = text.len() <= NAME_LEN_MAX
        && text.starts_with(plain)
        && text.chars().all(|c| plain(c) || "._-".contains(c));
    match good {
        true => Ok(text.to_owned()),
        false => Err(PersonNameError(text.chars().take(80).collect())),
    }
}

impl PersonName {
    /// The person who started the server on their own machine.
    #[must_use]
    pub fn owner() -> Self {
        Self(OWNER.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PersonName {
    type Err = PersonNameError;
    fn from_str(text: &str) -> Result<Self, PersonNameError> {
        checked(text).map(Self)
    }
}

impl FromStr for GroupName {
    type Err = PersonNameError;
    fn from_str(text: &str) -> Result<Self, PersonNameError> {
        checked(text).map(Self)
    }
}

impl TryFrom<String> for PersonName {
    type Error = PersonNameError;
    fn try_from(text: String) -> Result<Self, PersonNameError> {
        text.parse()
    }
}

impl TryFrom<String> for GroupName {
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

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
