//! What a deployment remembers of its gates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{Comparison, Evidence},
    gate::GateState,
    slice::Slice,
    time::{DrivenMs, UnixMs},
    traffic::{Mirrored, Traffic},
};

/// What is remembered between two looks at gates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Watch {
    /// When the gates of the current step were last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<DrivenMs>,
    /// The gates of the current step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateState>,
    /// The routers' counters as of the last look at them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub traffic: BTreeMap<Slice, Traffic>,
    /// Since when they are counted for the present stretch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_since: Option<DrivenMs>,
    /// Which minutes are still to be taken into account, where the provider counts by the minute: those that
    /// begin at this moment of its clock or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes_from: Option<UnixMs>,
    /// What is known of the new release against stable, over all steps: for each gate that compares, by its
    /// place among the gates of the deployment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub comparisons: BTreeMap<usize, Comparison>,
    /// What became of the copies of dark traffic as of the last look, without examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirrored: Option<Mirrored>,
    /// What is known of the answers to dark traffic.
    #[serde(default)]
    pub shadow: Evidence,
    /// When the first look of the current step was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<DrivenMs>,
}
