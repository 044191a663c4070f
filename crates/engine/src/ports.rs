//! What the engine asks of the world, as small traits that the adapters implement.

use std::future::Future;

use domain::{
    effect::{Effect, Target, Token},
    observation::Observation,
};

/// A place where instances run: two verbs.
///
/// Rules for every provider, checked by `engine::testing::contract`:
/// - `observe` changes nothing and may be stale, but never invents an instance or a weight;
/// - `apply` is idempotent, and returns once the request is accepted, not once it has its effect;
/// - an error may come back although the request was carried out (a lost reply).
pub trait Provider: Send + Sync {
    /// Looks at a server group. A group that does not exist yet is an empty observation.
    fn observe(
        &self,
        target: &Target,
    ) -> impl Future<Output = Result<Observation, ProviderError>> + Send;

    /// Makes one idempotent request. `token` says who asks; older tokens than the last accepted one
    /// may be refused with [`ErrorKind::Superseded`].
    fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;
}

/// A request to a provider that failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What kind of failure it is: all that the engine asks.
    pub kind: ErrorKind,
    /// One sentence for people: what was asked, and what came back.
    pub message: String,
}

/// The kinds of provider failures that call for different behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Asked too often.
    Throttled,
    /// Did not answer, or not usefully. The request may have been carried out.
    Unavailable,
    /// Pointsman may not do this.
    Denied,
    /// Something that the request names does not exist.
    Missing,
    /// The request makes no sense to the provider.
    Invalid,
    /// A newer token was accepted already: somebody else drives this deployment.
    Superseded,
}

impl ErrorKind {
    /// Looking again later may help, without anybody changing anything.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

impl ProviderError {
    /// An error of `kind` with a sentence for people.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}
