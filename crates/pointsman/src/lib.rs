//! The control plane as one binary: operations, API, wiring.
//!
//! ```text
//! main --> cli --(public HTTP API)--> api --> operations --> domain, store, engine
//!              `--> server: wires store, engine, provider and api together
//! ```
//!
//! Invariant: `api` and `cli` never name `store` or `providers`; `tests/rooms.rs` holds us to it.

pub mod access;
#[expect(
    unused_qualifications,
    reason = "the macros of utoipa write paths out in full"
)]
pub mod api;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod journal;
pub mod local;
pub mod metrics;
pub mod operations;
pub mod outside;
pub mod providers;
pub mod server;
pub mod telemetry;
