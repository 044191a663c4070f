//! A world in memory, with virtual time and every fault we could think of.
//!
//! - [`cloud`] is a server group of one or two slices; each [`asg`] follows AWS's documented scaling
//!   rules, ties broken against us.
//! - [`journal`] is a journal that can be asked to fail.
//! - [`faults`] says what goes wrong, drawn from a seed.
//! - [`fleet`] is many such groups in real time, for tests and benchmarks of whole servers.
//! - [`sim`] puts engines, cloud, journal and an impatient person together and checks, after every
//!   tick, what must always be true.
//! - [`contract`] is what every provider and every journal must pass, these ones included.

pub mod asg;
pub mod cloud;
pub mod contract;
pub mod faults;
pub mod fleet;
pub mod journal;
pub mod sim;
