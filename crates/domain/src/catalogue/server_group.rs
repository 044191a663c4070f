//! Server groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AwsGroup, CustomGroup, HealthCheck, InstanceLimits, Kind,
    manifest::{Entry, Reference},
    rules,
};
use crate::{
    bounds::{DAY, Faults},
    gate::Gate,
    names::{EnvironmentName, Place, ServiceName},
};

/// The manifest of a server group as it was read off what is there, and what a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The manifest.
    pub group: ServerGroup,
    /// What stands against deployments there, or must be completed by hand; one sentence each.
    pub notes: Vec<String>,
}

/// The capacity of one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ServerGroup {
    /// The service that runs here.
    pub service: ServiceName,
    /// The environment that it runs in.
    pub environment: EnvironmentName,
    /// Number of instances. With `autoscaling`, the number at the first deployment.
    pub size: u32,
    /// Bounds between which the group scales itself; deployments keep the current number then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Bounds>,
    /// Maximum number of instances, also during a deployment. Left out: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<u32>,
    /// Zones that instances are spread over. Ignored on AWS, where the subnets have zones.
    #[serde(default = "default_zones")]
    #[cfg_attr(feature = "schema", schema(default = default_zones))]
    pub zones: Vec<String>,
    /// Number of slices: two for blue-green, canary and switches.
    #[serde(default = "one")]
    #[cfg_attr(feature = "schema", schema(default = one))]
    pub slices: u8,
    /// Keeps each user on one slice while users are split between two. Left out: each request goes
    /// to either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
    /// Paths whose requests do not count, neither in gates nor in metrics: `/healthz` is one path, `/probes/*` are
    /// all that begin like it. Requests go there all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_paths: Vec<String>,
    /// Gates of every deployment that brings none of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// When an instance counts as healthy. On AWS the target group decides: path and numbers are
    /// ignored there, everything else is refused.
    #[serde(default)]
    pub health: HealthCheck,
    /// Time for requests in flight to finish before an instance is stopped, in seconds.
    #[serde(default = "default_drain_seconds")]
    #[cfg_attr(feature = "schema", schema(default = default_drain_seconds))]
    pub drain_seconds: u32,
    /// Environment variables of the instances. The provider sets `PORT`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What the instances may use of the server's own machine.
    #[serde(default, skip_serializing_if = "InstanceLimits::is_none")]
    pub limits: InstanceLimits,
    /// Settings on AWS. Left out: the group is elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsGroup>,
    /// Settings with a provider of your own. Without `aws` and `custom`, the group is on the machine of
    /// the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomGroup>,
}

/// What a user is recognised by; `by` says which way. Each user has a fixed place between 0 and 100; a
/// slice whose share grows takes users over in the order of their places, so that nobody moves back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Stickiness {
    /// A cookie that the router sets for users who have none.
    Cookie {
        /// Lifetime of the cookie, in seconds.
        #[serde(default = "a_day")]
        #[cfg_attr(feature = "schema", schema(default = a_day))]
        seconds: u32,
    },
    /// The hash of a request header, such as a user id set by a gateway. Requests without the header go
    /// to either slice.
    Header {
        /// Name of the header.
        name: String,
    },
}

fn a_day() -> u32 {
    DAY
}

/// Bounds of a group's own autoscaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Minimum number of instances.
    pub min: u32,
    /// Maximum number of instances, except during deployments.
    pub max: u32,
}

fn default_zones() -> Vec<String> {
    ["a", "b", "c"].map(str::to_owned).to_vec()
}
fn one() -> u8 {
    1
}
fn default_drain_seconds() -> u32 {
    10
}

impl ServerGroup {
    /// One instance at `place`, on this machine, with every setting as if it had been left out.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self {
            service: place.service,
            environment: place.environment,
            size: 1,
            autoscaling: None,
            size_limit: None,
            zones: default_zones(),
            slices: one(),
            stickiness: None,
            ignore_paths: Vec::new(),
            gates: Vec::new(),
            health: HealthCheck::default(),
            drain_seconds: default_drain_seconds(),
            variables: BTreeMap::new(),
            limits: InstanceLimits::default(),
            aws: None,
            custom: None,
        }
    }

    /// Which service, where.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            service: self.service.clone(),
            environment: self.environment.clone(),
        }
    }
}

impl Entry for ServerGroup {
    fn name(&self) -> String {
        self.place().to_string()
    }

    fn references(&self) -> Vec<Reference> {
        let asked = self.gates.iter().filter_map(Gate::prometheus_name);
        let asked = asked.map(|name| Reference::of("gates", Kind::Prometheus, name));
        let account = self.home().named_account();
        let account = account.map(|(field, name)| Reference::of(field, Kind::Account, name));
        let place = [
            Reference::of("service", Kind::Service, &self.service),
            Reference::of("environment", Kind::Environment, &self.environment),
        ];
        place.into_iter().chain(asked).chain(account).collect()
    }

    fn faults(&self, faults: &mut Faults) {
        rules::server_group::check(self, faults);
    }

    fn instances(&self) -> u32 {
        self.autoscaling.map_or(0, |b| b.max).max(self.size)
    }
}
