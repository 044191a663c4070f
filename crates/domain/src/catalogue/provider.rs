//! The kinds of places that instances run at.

use serde::{Deserialize, Serialize};

/// The kinds of places that instances run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The one-machine cloud.
    Local,
    /// Amazon Web Services.
    Aws,
}

impl ProviderKind {
    /// Its word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Aws => "aws",
        }
    }

    /// Where something is that this provider looks after, in words that follow "is".
    #[must_use]
    pub fn whereabouts(self) -> &'static str {
        match self {
            Self::Local => "on this machine",
            Self::Aws => "on AWS",
        }
    }

    /// Whether it has machine images, and starts them.
    #[must_use]
    pub const fn has_images(self) -> bool {
        match self {
            Self::Local => false,
            Self::Aws => true,
        }
    }
}
