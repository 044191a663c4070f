//! Amazon Web Services as a provider: Auto Scaling groups, launch templates, load balancers, Route 53.
//!
//! ```text
//! observe --> observer (one per account) --> groups, templates, targets, traffic --> Observation
//! apply ----> launch | sizes | protection | processes | traffic --> one request to AWS
//! ```
//!
//! Invariant: this crate translates and decides nothing. What it does not understand it reports as an
//! obstacle, and governance refuses before anything is changed.

mod account;
mod apply;
mod calls;
mod cloud;
mod observe;
mod people;
mod provider;
mod resources;
mod server_group;
mod settings;
mod traffic;

pub use aws_credential_types::Credentials;
pub use calls::{
    clients::Clients,
    rate_limiter::{Bucket, Calls},
    spending::Spent,
};
pub use provider::Aws;
pub use settings::Settings;
