//! Names that people choose. A name that exists is a valid name: parsing is the only way to make one.
//!
//! Services and environments appear in host names (`shop.staging.localhost`), so names follow the
//! DNS label rule of RFC 1035, section 2.3.1, in lower case.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest DNS label, in bytes (RFC 1035, section 2.3.4).
pub const NAME_LEN_MAX: usize = 63;
/// Longest release version, in bytes: it is part of file names and tags.
pub const VERSION_LEN_MAX: usize = 64;

/// What a [`Name`] names. Only tells names apart at compile time.
pub trait Kind {
    /// The noun in messages, such as `service`.
    const NOUN: &'static str;
}

/// A name of one kind of thing: lower-case letters, digits and hyphens, starting with a letter.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "K: Kind")]
pub struct Name<K> {
    text: String,
    kind: PhantomData<fn() -> K>,
}

/// Marks names of teams.
#[derive(Debug)]
pub enum TeamKind {}
/// Marks names of services.
#[derive(Debug)]
pub enum ServiceKind {}
/// Marks names of environment types.
#[derive(Debug)]
pub enum EnvironmentTypeKind {}
/// Marks names of environments.
#[derive(Debug)]
pub enum EnvironmentKind {}
/// Marks names of accounts.
#[derive(Debug)]
pub enum AccountKind {}
/// Marks names of Prometheus servers.
#[derive(Debug)]
pub enum PrometheusKind {}

impl Kind for TeamKind {
    const NOUN: &'static str = "team";
}
impl Kind for ServiceKind {
    const NOUN: &'static str = "service";
}
impl Kind for EnvironmentTypeKind {
    const NOUN: &'static str = "environment type";
}
impl Kind for EnvironmentKind {
    const NOUN: &'static str = "environment";
}

impl Kind for AccountKind {
    const NOUN: &'static str = "account";
}
impl Kind for PrometheusKind {
    const NOUN: &'static str = "prometheus";
}

/// The name of a team, the owner of services.
pub type TeamName = Name<TeamKind>;
/// The name of a service in the catalogue.
pub type ServiceName = Name<ServiceKind>;
/// The name of an environment type, such as `production`.
pub type EnvironmentTypeName = Name<EnvironmentTypeKind>;
/// The name of a Prometheus that gates can ask.
pub type PrometheusName = Name<PrometheusKind>;
/// The name of an account, such as `production-eu`.
pub type AccountName = Name<AccountKind>;
/// The name of an environment.
pub type EnvironmentName = Name<EnvironmentKind>;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {noun} name: {why}")]
pub struct NameError {
    text: String,
    noun: &'static str,
    why: &'static str,
}

impl<K> Name<K> {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Says what is wrong with a DNS label, if anything is.
fn label_fault(text: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() {
        Some("it is empty")
    } else if text.len() > NAME_LEN_MAX {
        Some("it is longer than 63 characters")
    } else if !text.chars().all(allowed) {
        Some("use only lower-case letters, digits and hyphens")
    } else if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("it must start with a letter")
    } else if text.ends_with('-') {
        Some("it must not end with a hyphen")
    } else {
        None
    }
}

/// At most 80 characters of something that a stranger sent, to be quoted in a message.
fn quotable(text: &str) -> String {
    text.chars().take(80).collect()
}

impl<K: Kind> FromStr for Name<K> {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match label_fault(text) {
            None => Ok(Self {
                text: text.to_owned(),
                kind: PhantomData,
            }),
            Some(why) => Err(NameError {
                text: quotable(text),
                noun: K::NOUN,
                why,
            }),
        }
    }
}

impl<K: Kind> TryFrom<String> for Name<K> {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl<K> From<Name<K>> for String {
    fn from(name: Name<K>) -> Self {
        name.text
    }
}

// Written out, because a derive would ask the marker type for the same traits.
impl<K> Clone for Name<K> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            kind: PhantomData,
        }
    }
}
impl<K> PartialEq for Name<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<K> Eq for Name<K> {}
impl<K> PartialOrd for Name<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Name<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<K> std::hash::Hash for Name<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl<K> fmt::Display for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl<K> fmt::Debug for Name<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// The version of a release, such as `1.4.0` or `2026-11-22.3`.
///
/// Any text of letters, digits, dots, hyphens, underscores and plus signs that starts with a letter
/// or digit. It is part of file names, so it holds no slash and no `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid release version: {why}")]
pub struct VersionError {
    text: String,
    why: &'static str,
}

impl Version {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_+".contains(c);
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > VERSION_LEN_MAX {
            "it is longer than 64 characters"
        } else if !text.chars().all(allowed) {
            "use only letters, digits, '.', '-', '_' and '+'"
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "it must start with a letter or a digit"
        } else if text.contains("..") {
            "it must not contain '..'"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(VersionError {
            text: quotable(text),
            why,
        })
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}
impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a deployment: a UUIDv7 in its usual text form, so that ids sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(pub String);

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One service in one environment: what is deployed to, locked, and observed together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The service.
    pub service: ServiceName,
    /// The environment it runs in.
    pub environment: EnvironmentName,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "shop", "shop-2", &"a".repeat(63)] {
            assert!(
                good.parse::<ServiceName>().is_ok(),
                "{good:?} should be a name"
            );
        }
        for bad in [
            "",
            "Shop",
            "2shop",
            "shop-",
            "sh op",
            "sh/op",
            "..",
            &"a".repeat(64),
        ] {
            assert!(
                bad.parse::<ServiceName>().is_err(),
                "{bad:?} should not be a name"
            );
        }
    }

    #[test]
    fn versions_are_safe_as_file_names() {
        for good in ["1.0.0", "2026-11-22.3", "v1+build_7"] {
            assert!(
                good.parse::<Version>().is_ok(),
                "{good:?} should be a version"
            );
        }
        for bad in [
            "",
            "../1",
            "1..0",
            ".hidden",
            "-rf",
            "1/2",
            "1 0",
            &"1".repeat(65),
        ] {
            assert!(
                bad.parse::<Version>().is_err(),
                "{bad:?} should not be a version"
            );
        }
    }

    #[test]
    fn a_bad_name_says_what_to_do() {
        let error = "Shop".parse::<ServiceName>().expect_err("upper case");
        assert_eq!(
            error.to_string(),
            "\"Shop\" is not a valid service name: use only lower-case letters, digits and hyphens"
        );
    }
}
