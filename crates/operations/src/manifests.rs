//! Manifests: the catalogue as text. Reading, checking, comparing and applying.
//!
//! ```text
//! text --read--> documents --typed--> Manifest --rules--> plan (what differs) --+--> diff: shown
//! PUT body ------------------------------^                                      `--> apply: stored
//! ```
//!
//! Invariant: `diff` and `apply` are the same path up to the last step, so what was shown is what is
//! done. All or nothing: one fault anywhere, and nothing is stored.

mod apply;
mod backstage;
mod compare;
mod describing;
mod moves;
mod read;
mod write;

use std::collections::BTreeSet;

use domain::catalogue::Manifest;
use serde_json::Value;

pub use apply::{Change, Changed, Mode};
pub(super) use apply::{noun, subject};
pub use compare::Difference;
pub use read::{Document, from_json, from_yaml};
pub use write::to_yaml;

/// Most documents at once.
pub const DOCUMENTS_MAX: usize = store::catalogue::CHANGES_MAX;

/// The JSON that is stored.
fn body(manifest: &Manifest) -> Value {
    serde_json::to_value(manifest).expect("catalogue types have text keys and no failing parts")
}

/// Says which entries stand twice in a set, each once.
fn twice(manifests: &[Manifest]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let repeated =
        |(_, manifest): &(usize, &Manifest)| !seen.insert((manifest.kind(), manifest.name()));
    manifests
        .iter()
        .enumerate()
        .filter(repeated)
        .map(|(index, _)| index)
        .collect()
}
