//! What the types of a server group cannot say: numbers that must fit each other, and the shapes of
//! names. Smaller nouns have their rules beside their types.

pub(super) mod aws;
mod health;
pub(super) mod server_group;
