//! Why a deployment waits, and why it does not go forward any more: data, never a log line.
//!
//! Invariant: each reason has a stable code, a sentence that speaks of versions, and somebody who can
//! act. A sentence holds no point in time and no command to type: those are data, which each face
//! shows in its own way.

mod failure;
#[cfg(test)]
mod tests;
mod waiting;

pub use failure::Failure;
pub use waiting::{Then, Waiting};

/// The end of a sentence, where the provider has something to say.
fn says(trouble: Option<&String>) -> String {
    trouble.map_or_else(String::new, |it| format!("; the provider says: {it}"))
}
