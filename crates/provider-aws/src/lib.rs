//! Amazon Web Services as a provider: Auto Scaling groups, launch templates, load balancers, Route 53.
//!
//! ```text
//! observe --> lookout (one per account) --> groups, templates, targets, traffic --> Observation
//! apply ----> launch | sizes | protection | processes | traffic --> one request to AWS
//! ```
//!
//! Invariant: this crate translates and decides nothing. What it does not understand it reports as an
//! obstacle, and governance refuses before anything is changed.

mod admission;
mod again;
mod apply;
mod attach;
mod calls;
mod clients;
mod cloud;
mod cloudwatch;
mod create;
mod dns;
mod doctor;
mod errors;
mod groups;
mod images;
mod import;
mod label;
mod launch;
mod listener;
mod look;
mod lookout;
mod obstacles;
mod pace;
mod packages;
mod policy;
mod provider;
mod quota;
mod refresh;
mod running;
mod script;
mod seen;
mod settings;
mod shares;
mod shortfall;
mod spent;
mod targets;
mod templates;

pub use aws_credential_types::Credentials;
pub use calls::{Bucket, Calls};
pub use clients::Clients;
pub use provider::Aws;
pub use settings::Settings;
pub use spent::Spent;
