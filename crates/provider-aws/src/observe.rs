//! The engine's first verb: what an account shows, as observations of its server groups.

pub mod observer;
pub mod obstacles;

mod account_state;
pub mod admission;
mod health_cache;
mod instance_state;
mod observation;
mod poll;
mod poll_timer;
mod shortfalls;
