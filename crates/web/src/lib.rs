//! Everything that speaks HTTP to people and programs.
//!
//! ```text
//! listener --> layers (request id, door, limits) --> api --> operations
//! ```
//!
//! Invariant: no rule lives here, and no store, engine or provider is named; the crate does not
//! depend on them.

#[expect(
    unused_qualifications,
    reason = "the macros of utoipa write paths out in full"
)]
pub mod api;
pub mod door;
pub mod listener;
