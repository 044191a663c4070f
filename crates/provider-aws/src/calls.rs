//! How AWS is called: clients, rates, retries, errors, and what calls cost.

pub mod bucket;
pub mod call;
pub mod clients;
pub mod errors;
pub mod rate_limiter;
pub mod retry;
pub mod spending;
