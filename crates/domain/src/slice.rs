//! The two halves of a server group.

use serde::{Deserialize, Serialize};

/// One of the two instance groups of a server group. A group with one slice uses [`Slice::Blue`].
///
/// Invariant: rules never ask for a colour; they ask for a role (live, next, stable, failed), and
/// the plan says which slice has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(
    as = SliceName,
    description = "The name of a slice. A server group with one slice uses `blue`."
))]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// The first, and with `slices: 1` the only one.
    Blue,
    /// The second.
    Green,
}

impl Slice {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Blue => "blue",
            Self::Green => "green",
        })
    }
}
