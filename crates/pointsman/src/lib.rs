//! The program: its command line, and the wiring of the control plane.
//!
//! ```text
//! main --> commands --> cli --(public HTTP API)--> web --> operations --> domain, store, engine
//!                   `-> server: wires store, engine, provider and web together
//! ```

pub mod commands;
pub mod config;
mod data;
pub mod local;
mod serve;
pub mod server;
pub mod telemetry;
