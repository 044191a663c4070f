//! How users are split between the slices of a server group.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{slice::Slice, traffic::Mirror};

/// The share of the users that each slice gets, in percent. A slice that is not named has none.
///
/// Either the shares sum to 100, or nobody is served.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Weights(BTreeMap<Slice, u8>);

/// Weights, with the dark traffic that comes with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Split {
    /// Percent per slice, summing to 100 (or empty: nobody is served).
    pub weights: Weights,
    /// Copies of users' requests (dark traffic); left out where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
}

impl Weights {
    /// Every user on `slice`.
    #[must_use]
    pub fn all_on(slice: Slice) -> Self {
        Self::from([(slice, 100)])
    }

    /// `percent` of the users on `next`, the others on `live`.
    #[must_use]
    pub fn split(next: Slice, live: Slice, percent: u8) -> Self {
        let shares = [(live, 100 - percent), (next, percent)];
        shares.into_iter().filter(|(_, share)| *share > 0).collect()
    }

    /// Percent of the users that `slice` gets.
    #[must_use]
    pub fn share(&self, slice: Slice) -> u8 {
        self.0.get(&slice).copied().unwrap_or(0)
    }

    /// Every slice has the same share in both; a share of 0 is the same as none.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        let named = self.0.keys().chain(other.0.keys());
        named
            .copied()
            .all(|slice| self.share(slice) == other.share(slice))
    }

    /// Sets the share of one slice, in percent.
    pub fn set(&mut self, slice: Slice, percent: u8) {
        self.0.insert(slice, percent);
    }

    /// The slices that are named, with their shares, which may be 0.
    pub fn iter(&self) -> impl Iterator<Item = (Slice, u8)> {
        self.0.iter().map(|(slice, share)| (*slice, *share))
    }

    /// The slices that have users.
    pub fn served(&self) -> impl Iterator<Item = Slice> {
        self.iter()
            .filter(|(_, share)| *share > 0)
            .map(|(slice, _)| slice)
    }

    /// No slice is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All shares together: 100, or 0 where nobody is served.
    #[must_use]
    pub fn sum(&self) -> u32 {
        self.0.values().map(|share| u32::from(*share)).sum()
    }
}

impl<const N: usize> From<[(Slice, u8); N]> for Weights {
    fn from(shares: [(Slice, u8); N]) -> Self {
        Self(shares.into())
    }
}

impl FromIterator<(Slice, u8)> for Weights {
    fn from_iter<I: IntoIterator<Item = (Slice, u8)>>(shares: I) -> Self {
        Self(shares.into_iter().collect())
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The slices with users, or `none`.
impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for slice in self.served() {
            write!(f, "{before}{} % {slice}", self.share(slice))?;
            before = ", ";
        }
        if before.is_empty() {
            f.write_str("none")
        } else {
            Ok(())
        }
    }
}

impl Split {
    /// The same weights and the same dark traffic.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.weights.same(&other.weights) && self.mirror == other.mirror
    }
}

/// These weights, without dark traffic.
impl From<Weights> for Split {
    fn from(weights: Weights) -> Self {
        Self {
            weights,
            mirror: None,
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.weights)?;
        match &self.mirror {
            Some(mirror) => write!(f, "; {mirror}"),
            None => Ok(()),
        }
    }
}
