//! The program: its command line, and the wiring of the control plane.
//!
//! ```text
//! main --> commands --> cli --(public HTTP API)--> web --> operations --> domain, store, engine
//!                   `-> server: wires store, engine, clouds and web together
//! ```

mod clouds;
pub mod commands;
pub mod config;
mod data;
pub mod hosts;
mod identities;
pub mod local;
pub mod outside;
mod serve;
pub mod server;
pub mod telemetry;
