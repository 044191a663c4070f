//! Amazon Web Services as a provider: Auto Scaling groups, launch templates, load balancers, Route 53.
//!
//! ```text
//! cloud        AWS as a cloud that operations know
//! provider     the engine's two verbs, and what people ask for
//! people       check-ups, imports, policies, images, CloudWatch gates
//! observe      one poll per account, and what it shows of each server group
//! apply        one idempotent request per effect
//! account      what observations and changes of one account share
//! traffic      listeners, DNS records, attachments
//! metrics      what load balancers count, minute by minute
//! resources    groups, launch templates, images, instances, target health
//! server_group the settings, slices and group names of a server group
//! calls        one constant per operation, rate limits, retries, errors
//! ```
//!
//! Invariants: a room names only rooms further down (`tests/it/rooms.rs`). This crate translates and
//! decides nothing: a group that it does not know how to handle has obstacles, and governance refuses the
//! deployment before anything is changed.

mod account;
mod apply;
mod calls;
mod cloud;
mod metrics;
mod observe;
mod people;
mod provider;
mod resources;
mod server_group;
mod settings;
mod traffic;

pub use aws_credential_types::Credentials;
pub use calls::{clients::Clients, spending::Spent};
pub use provider::Aws;
pub use settings::Settings;
