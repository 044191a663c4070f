//! The nouns, rules and plans of Pointsman, without the world.
//!
//! Everything here is a value or a pure function over values. Time comes in as an argument, identity
//! comes in as an argument, and nothing here can fail for a reason outside of its arguments.
//!
//! Invariant: no I/O, no clock, no randomness, no async. `clippy.toml` of this crate and
//! `crates/pointsman/tests/rooms.rs` hold us to it.
//!
//! Where to start: [`plan::plan`] turns a strategy into steps, [`decide::decide`] looks at one step and
//! one observation and says what to do next, [`governance::admit`] says who may start at all.

pub mod access;
pub mod bounds;
pub mod catalogue;
pub mod checkup;
pub mod cloud;
pub mod decide;
pub mod deployment;
pub mod effect;
pub mod event;
pub mod evidence;
pub mod gate;
pub mod governance;
pub mod image;
pub mod live;
pub mod names;
pub mod observation;
pub mod percent;
pub mod plan;
pub mod preview;
pub mod reason;
pub mod release;
#[cfg(feature = "schema")]
pub mod schema;
pub mod slice;
pub mod time;
pub mod traffic;
pub mod users;
pub mod versions;
pub mod who;
