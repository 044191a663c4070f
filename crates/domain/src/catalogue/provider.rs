//! The kinds of places that instances run at.

use serde::{Deserialize, Serialize};

/// A provider: the kind of a place that instances run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The one-machine cloud.
    Local,
    /// Amazon Web Services.
    Aws,
    /// A provider of your own, which comes with your build of Pointsman (`docs/adr/0018`).
    Custom,
}

impl ProviderKind {
    /// Its word in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Aws => "aws",
            Self::Custom => "custom",
        }
    }

    /// Where something is that this provider looks after, in words that follow "is".
    #[must_use]
    pub fn whereabouts(self) -> &'static str {
        match self {
            Self::Local => "on this machine",
            Self::Aws => "on AWS",
            Self::Custom => "with a custom provider",
        }
    }

    /// Whether it has machine images, and starts them.
    #[must_use]
    pub const fn has_images(self) -> bool {
        match self {
            Self::Local | Self::Custom => false,
            Self::Aws => true,
        }
    }
}
