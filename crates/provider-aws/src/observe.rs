//! The engine's first verb: what an account shows, as observations of its server groups.

pub mod account_state;
pub mod admission;
pub mod observation;
pub mod observer;
pub mod obstacles;
pub mod poll_timer;
pub mod shortfalls;
