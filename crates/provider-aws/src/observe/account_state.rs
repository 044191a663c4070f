//! What one look at an account brings.

use std::collections::{BTreeMap, BTreeSet};

use domain::time::UnixMs;
use engine::ports::ProviderError;

use crate::{
    resources::{
        groups::Group,
        refreshes::Record,
        target_health::{Born, Targets},
    },
    traffic::{dns, listener},
};

/// All that one look brought.
pub struct Look {
    /// When it began.
    pub at: UnixMs,
    /// The groups by name.
    pub groups: BTreeMap<String, Group>,
    /// What target groups say, and how old that is in milliseconds.
    pub health: BTreeMap<String, Result<(u64, Targets), ProviderError>>,
    /// Instances without target groups that passed EC2's status checks.
    pub passed: BTreeSet<String>,
    /// When instances were launched, and from which image.
    pub born: BTreeMap<String, Born>,
    /// Actions of listeners and rules.
    pub actions: listener::Actions,
    /// Records at Route 53.
    pub records: BTreeMap<dns::Name, Result<dns::Seen, ProviderError>>,
    /// The last instance refresh of groups that are asked about it, by name.
    pub refreshes: BTreeMap<String, Record>,
    /// What AWS says of groups that do not get the instances they ask for, by name.
    pub troubles: BTreeMap<String, String>,
}
