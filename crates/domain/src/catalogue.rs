//! The central service catalogue: what exists, who owns it, and where it may go. One file per noun.

mod abilities;
mod account;
mod aws;
mod custom;
mod environment;
mod environment_type;
mod freeze;
mod health;
mod home;
mod kind;
mod limits;
mod manifest;
mod prometheus;
mod provider;
mod rules;
mod server_group;
mod service;
mod team;

pub use abilities::{Abilities, Able, Lack};
pub use account::Account;
pub use aws::{
    AwsCreate, AwsGroup, AwsTraffic, AwsVolume, AwsVolumeKind, SCRIPT_WORDS, index,
    unknown_script_word,
};
pub use custom::CustomGroup;
pub use environment::Environment;
pub use environment_type::EnvironmentType;
pub use freeze::{Freeze, FreezeName};
pub use health::{Accepted, HealthCheck, HealthKind, HealthMethod, Probe, Request};
pub use home::Home;
pub use kind::{Kind, Words};
pub use limits::InstanceLimits;
pub use manifest::{Manifest, Reference};
pub use prometheus::Prometheus;
pub use provider::ProviderKind;
pub use server_group::{Adopted, Bounds, ServerGroup, Stickiness};
pub use service::{Service, StrategyKind};
pub use team::Team;
