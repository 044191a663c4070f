//! The central service catalogue: what exists, who owns it, and where it may go.

mod abilities;
mod aws;
mod custom;
mod home;
mod provider;

pub use abilities::{Abilities, Able, Lack};
pub use aws::{
    Account, Adopted, AwsCreate, AwsGroup, AwsTraffic, AwsVolume, AwsVolumeKind, SCRIPT_WORDS,
    index, unknown_script_word,
};
pub use custom::CustomGroup;
pub use home::Home;
pub use provider::ProviderKind;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    gate::Gate,
    names::{EnvironmentName, EnvironmentTypeName, Place, PrometheusName, ServiceName, TeamName},
};

/// How a new release becomes the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyKind {
    /// Double the group, keep the new half.
    ScaleUp,
    /// Let AWS replace the instances of the group.
    InstanceRefresh,
    /// Fill the other slice, move the users over, all at once or by weights.
    BlueGreen,
    /// Fill the other slice, move the users over bit by bit, each time watching what they get.
    Canary,
    /// Move the users to what the other slice runs already.
    Switch,
}

impl std::fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ScaleUp => "scale-up",
            Self::InstanceRefresh => "instance-refresh",
            Self::BlueGreen => "blue-green",
            Self::Canary => "canary",
            Self::Switch => "switch",
        })
    }
}

/// People who own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Unique name.
    pub name: TeamName,
    /// What the team does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to reach them: an e-mail address, a channel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
}

/// A catalogued deployable with an owning team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique name.
    pub name: ServiceName,
    /// The team that answers for it.
    pub owner: TeamName,
    /// What it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The environment types it may be deployed to. Closed by default: empty means nowhere.
    #[serde(default)]
    pub environment_types: BTreeSet<EnvironmentTypeName>,
    /// The strategies it may be deployed with.
    #[serde(default = "every_strategy")]
    pub strategies: BTreeSet<StrategyKind>,
}

fn every_strategy() -> BTreeSet<StrategyKind> {
    BTreeSet::from([
        StrategyKind::ScaleUp,
        StrategyKind::InstanceRefresh,
        StrategyKind::BlueGreen,
        StrategyKind::Canary,
        StrategyKind::Switch,
    ])
}

/// A class of environments that carries policy, such as `staging` or `production`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentType {
    /// Unique name.
    pub name: EnvironmentTypeName,
    /// What this class is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whoever asks for a deployment here cannot approve it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval_by_another: bool,
}

/// A Prometheus that gates can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Unique name.
    pub name: PrometheusName,
    /// Where it answers, such as `http://prometheus.internal:9090`.
    pub url: String,
    /// What it watches.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Where services run for a purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Unique name.
    pub name: EnvironmentName,
    /// Its class.
    pub environment_type: EnvironmentTypeName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Most instances that may run here at once, doubling included. `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_limit: Option<u32>,
}

/// The capacity of one service in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerGroup {
    /// The service that runs here.
    pub service: ServiceName,
    /// The environment it runs in.
    pub environment: EnvironmentName,
    /// How many instances. With `autoscaling`, how many at the very first deployment.
    pub size: u32,
    /// The group scales itself between these bounds; the live desired count is then respected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Bounds>,
    /// Never more instances than this, not even during a deployment. `None`: twice the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<u32>,
    /// The zones instances are spread over. On AWS those of the subnets, and this is ignored.
    #[serde(default = "default_zones")]
    pub zones: Vec<String>,
    /// One slice, or two for blue/green.
    #[serde(default = "one")]
    pub slices: u8,
    /// Keeps each user on one side while users are split between slices. `None`: each request is
    /// sent by chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
    /// What must hold on the way to more users, unless a deployment brings gates of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// When an instance counts as healthy. On AWS the target group says so, and this is ignored.
    #[serde(default)]
    pub health: HealthCheck,
    /// How long requests in flight may take to finish before an instance is stopped, in seconds.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u32,
    /// Environment variables of the instances. `PORT` is set by the provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// On AWS: where. `None`: elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsGroup>,
    /// With a provider of your own: where. `None`: elsewhere; without both, on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomGroup>,
}

/// What a user is recognised by. Each user has a fixed place between 0 and 100; a slice whose share
/// grows takes users over in the order of their places, so that widening moves nobody back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Stickiness {
    /// A cookie that the router gives to whoever has none.
    Cookie {
        /// How long it lasts, in seconds.
        #[serde(default = "a_day")]
        seconds: u32,
    },
    /// The hash of a request header, such as a user id set by a gateway. Requests without it are
    /// sent by chance.
    Header {
        /// Its name.
        name: String,
    },
}

fn a_day() -> u32 {
    86_400
}

/// Bounds of a group's own autoscaling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Never fewer.
    pub min: u32,
    /// Never more, outside of deployments.
    pub max: u32,
}

/// When an instance counts as healthy: an HTTP GET that answers 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// The path asked for.
    pub path: String,
    /// Time between two checks, in milliseconds.
    pub interval_ms: u32,
    /// A check that takes longer has failed, in milliseconds.
    pub timeout_ms: u32,
    /// So many passes in a row make an instance healthy.
    pub healthy_threshold: u32,
    /// So many failures in a row make it unhealthy.
    pub unhealthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: "/health".to_owned(),
            interval_ms: 1000,
            timeout_ms: 1000,
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        }
    }
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
            gates: Vec::new(),
            health: HealthCheck::default(),
            drain_seconds: default_drain_seconds(),
            variables: BTreeMap::new(),
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
