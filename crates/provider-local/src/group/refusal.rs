//! Why a request to a server group is refused.

use domain::effect::Token;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A newer token was accepted.
    #[error("a newer request was accepted already ({newest}); this one ({token}) is too late")]
    Superseded {
        /// The token that was accepted.
        newest: Token,
        /// The token of this request.
        token: Token,
    },
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// The change cannot be saved, and so was not made.
    #[error("the one-machine cloud cannot save its state ({0}); nothing was changed")]
    NotSaved(String),
}
