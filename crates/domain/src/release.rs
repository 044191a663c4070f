//! Releases: immutable versions of a service, and what of them is started.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    names::{ServiceName, Version},
    time::UnixMs,
};

/// The SHA-256 of an artifact, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lower-case hexadecimal digits (SHA-256)")]
pub struct DigestError;

impl Digest {
    /// The digest as hexadecimal text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The digest of 32 bytes, as a hash function returns them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let valid = text.len() == 64 && text.chars().all(hex);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(DigestError)
        }
    }
}
impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}
impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a machine image, such as `ami-0abcdef1234567890`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

/// Why a text is no image id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image id is ami- followed by 8 to 17 hexadecimal digits")]
pub struct ImageIdError;

impl ImageId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageId {
    type Err = ImageIdError;
    fn from_str(text: &str) -> Result<Self, ImageIdError> {
        let digits = text.strip_prefix("ami-").ok_or(ImageIdError)?;
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let valid = (8..=17).contains(&digits.len()) && digits.chars().all(hex);
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(ImageIdError)
        }
    }
}
impl TryFrom<String> for ImageId {
    type Error = ImageIdError;
    fn try_from(text: String) -> Result<Self, ImageIdError> {
        text.parse()
    }
}
impl From<ImageId> for String {
    fn from(image: ImageId) -> Self {
        image.0
    }
}
impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What instances run: a package, or an image that holds everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// A gzipped tarball that a machine fetches and starts.
    Package {
        /// Its SHA-256.
        digest: Digest,
        /// The image of the machine, where one was chosen; else that of the server group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<ImageId>,
    },
    /// A machine image with the service in it.
    Image {
        /// Its id.
        image: ImageId,
    },
}

impl Content {
    /// A package on whatever machine the server group has.
    #[must_use]
    pub fn package(digest: Digest) -> Self {
        let image = None;
        Self::Package { digest, image }
    }
    /// The digest of the package, if it is one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Package { digest, .. } => Some(digest),
            Self::Image { .. } => None,
        }
    }
    /// The image, where the content says one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageId> {
        match self {
            Self::Package { image, .. } => image.as_ref(),
            Self::Image { image } => Some(image),
        }
    }
    /// The package on another machine image. A machine image stays what it is: another one would be
    /// another release.
    #[must_use]
    pub fn on(self, image: ImageId) -> Self {
        match self {
            Self::Package { digest, .. } => Self::Package {
                digest,
                image: Some(image),
            },
            Self::Image { image } => Self::Image { image },
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package {
                digest,
                image: None,
            } => write!(f, "sha256 {digest}"),
            Self::Package {
                digest,
                image: Some(image),
            } => write!(f, "sha256 {digest} on {image}"),
            Self::Image { image } => write!(f, "image {image}"),
        }
    }
}

/// An immutable version of a service plus its artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The service that it is a version of.
    pub service: ServiceName,
    /// Its version, unique within the service.
    pub version: Version,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
    /// Size of the package in bytes; 0 for an image.
    pub size_bytes: u64,
    /// When it was created.
    pub created_at: UnixMs,
    /// Who created it.
    pub created_by: String,
    /// Set when somebody withdrew it: it must not be deployed any more.
    pub withdrawn: Option<Withdrawal>,
}

/// Who took a release out of use, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// When.
    pub at: UnixMs,
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

/// Identifies the instances that one deployment started.
///
/// Instances are counted by launch and not by version, so that deploying the same version anew, or
/// an old version again, never confuses the instances of today with those of last week. On AWS a
/// launch is one numbered launch-template version (`docs/adr/0003`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(description = "Identifies the instances that one deployment started.")
)]
#[serde(transparent)]
pub struct LaunchId(pub String);

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A release as one deployment starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// What its instances are counted by.
    pub id: LaunchId,
    /// The version, for people.
    pub version: Version,
    /// What to run.
    #[serde(flatten)]
    pub content: Content,
}
