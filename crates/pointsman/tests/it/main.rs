//! The API from outside: a real server on a real socket with SQLite, over a simulated fleet.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod access;
mod audit;
mod aws;
mod bad_input;
mod catalogue;
mod command_line;
mod compared;
mod deployments;
mod description;
mod events;
mod gates;
mod guests;
mod idempotency;
mod lists;
mod manifests;
mod metrics;
#[cfg(feature = "oidc")]
mod open_id;
mod outside;
mod pages;
mod pages_deploy;
mod pages_people;
mod people;
mod places;
mod releases;
mod server;
mod support;
mod third_cloud;
mod tls;
mod two_slices;
mod walk;
