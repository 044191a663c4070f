//! Dark traffic: requests of users are copied to a slice that has none, and the answers compared.

pub(crate) mod compare;
pub(crate) mod copies;
pub(crate) mod job;
pub(crate) mod mirror;
pub(crate) mod sample;
