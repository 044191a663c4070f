//! Everything that speaks HTTP to people and programs.
//!
//! ```text
//! listener --> layers (count, id, panics, time) --> door (credential -> principal) --> api    --> desk
//!                                                                                `-> portal -'
//! ```
//!
//! The faces are `api`, for programs, and `portal`, for people in a browser; they never name each other. What all faces share is here:
//! the door, the layers, extractors, problems, streams.
//!
//! Invariant: no rule lives here, and no store, engine or provider is named; the crate does not
//! depend on them.
//! Invariant: every route but `/health`, `/openapi.json` and `/docs` needs a token; a test walks
//! the API's own description to make sure.

#[expect(
    unused_qualifications,
    reason = "the macros of utoipa write paths out in full"
)]
pub mod api;
mod app;
pub mod door;
mod extract;
mod guests;
mod idempotency;
mod layers;
pub mod listener;
mod origin;
mod portal;
mod problem;
mod refusals;
pub mod rows;
mod streams;
pub mod tls;

pub use app::{App, router};
pub use layers::Hosts;
pub use portal::{PublicUrl, PublicUrls};
