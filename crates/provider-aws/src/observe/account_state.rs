//! What one poll of an account brings.

use std::collections::{BTreeMap, BTreeSet};

use domain::{names::Place, time::UnixMs, traffic::ByMinute};
use engine::ports::ProviderError;

use crate::{
    resources::{
        groups::Group, instances::Ec2Instance, refreshes::Refresh, target_health::Targets,
    },
    traffic::{dns, listener, weights::Split},
};

/// All that one poll brought.
pub struct AccountState {
    /// When it began.
    pub at: UnixMs,
    /// The Auto Scaling groups, by name.
    pub groups: BTreeMap<String, Group>,
    /// What each target group says, by ARN, and how old that is in milliseconds.
    pub health: BTreeMap<String, Result<(u64, Targets), ProviderError>>,
    /// The instances outside of target groups that pass EC2's status checks.
    pub passed: BTreeSet<String>,
    /// What EC2 knows of the instances, by id.
    pub instances: BTreeMap<String, Ec2Instance>,
    /// The actions of listeners and rules.
    pub actions: listener::Actions,
    /// How records at Route 53 split the users.
    pub records: BTreeMap<dns::Records, Result<Split, ProviderError>>,
    /// The last instance refresh of the groups that are asked about it, by name.
    pub refreshes: BTreeMap<String, Refresh>,
    /// What users got, where gates compare it, by place.
    pub counts: BTreeMap<Place, ByMinute>,
    /// What AWS says of groups that do not get the instances they ask for, by name.
    pub troubles: BTreeMap<String, String>,
}
