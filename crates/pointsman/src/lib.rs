//! Pointsman.
pub mod cli;
pub mod demo;
