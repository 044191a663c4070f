//! How users are split between two groups: by a listener, by DNS, or by attachment.

pub mod attachment;
pub mod dns;
pub mod listener;
pub mod weights;
