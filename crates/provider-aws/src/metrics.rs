//! What load balancers count of the users' requests, by CloudWatch.

pub mod counts;
pub mod settled;
pub mod sums;
