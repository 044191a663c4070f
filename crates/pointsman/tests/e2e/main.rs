//! End-to-end tests: the real binary, real processes, a real router, and a load that counts every
//! failed request.
//!
//! Invariant: a test waits for conditions, with a bound, and ends only what it started.

#[cfg(feature = "aws")]
mod aws;
mod browser;
mod commands;
mod crashes;
mod databases;
mod deployments;
mod faults;
mod first_admin;
mod full;
#[path = "../../../store/tests/it/postgres.rs"]
mod postgres;
mod routing;
mod seen;
mod servers;
mod start;
mod steering;
mod traffic;
mod websocket;
mod world;
