//! What the engine asks of the world, as small traits that the adapters implement.

use std::{future::Future, sync::Arc};

use domain::{
    deployment::Deployment,
    effect::{Effect, Target, Token},
    event::Event,
    gate::{Gate, Said},
    names::DeploymentId,
    observation::Observation,
    time::UnixMs,
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

/// A provider that is shared is a provider.
impl<P: Provider> Provider for Arc<P> {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        (**self).observe(target).await
    }
    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        (**self).apply(target, effect, token).await
    }
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
    /// The provider does not do such a thing.
    NotOffered,
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
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The durable memory of the engine. Everything that must survive a crash goes through here.
///
/// Rules for every journal, checked by `engine::testing::journal_contract`:
/// - a lease is held by at most one engine at a time, until it is given back or taken over;
/// - each claim and each renewal adds one to the beats of a deployment's lease, and nothing takes any
///   away. A lease is taken over only at the beat at which whoever takes it saw it stand still: no wall
///   clock plays a part, so that setting one takes a lease from nobody;
/// - `save` succeeds only when the stored version is exactly the one before the new record's.
pub trait Journal: Send + Sync {
    /// Takes up to `limit` unfinished deployments: first those whose leases are `abandoned` and still at
    /// the same beat, then those that nobody holds. The longest unattended come first. `now` is noted
    /// for people.
    fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> impl Future<Output = Result<Claims, JournalError>> + Send;

    /// Prolongs a lease that `engine` holds, and returns the record as it is now; `None` when the
    /// lease was lost. `now` is noted for people.
    fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> impl Future<Output = Result<Option<Deployment>, JournalError>> + Send;

    /// Gives a lease back, so that another engine can go on at once.
    fn release(
        &self,
        engine: &str,
        id: &DeploymentId,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// Stores the record together with the events that led to it, in one transaction, provided that
    /// the stored version is `deployment.version - 1`. A deployment that ended as succeeded makes
    /// its launch the live one of its place in the same transaction.
    fn save(
        &self,
        deployment: &Deployment,
        events: &[Event],
    ) -> impl Future<Output = Result<Saved, JournalError>> + Send;
}

/// A lease as it was seen in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSeen {
    /// The deployment that somebody holds.
    pub deployment: DeploymentId,
    /// How often its lease was taken or prolonged so far.
    pub beat: u64,
}

/// What came of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The deployments that were taken.
    pub taken: Vec<Deployment>,
    /// The leases on unfinished deployments, the caller's own among them, as they are now.
    pub held: Vec<LeaseSeen>,
}

/// What became of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is stored.
    Stored,
    /// Somebody else changed the record meanwhile; nothing was stored. Read it again.
    Superseded,
}

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct JournalError {
    /// One sentence for people.
    pub message: String,
}

/// Asks the world outside on behalf of a gate: a Prometheus, an HTTP check.
///
/// Bounded in time by the implementation, far below the age of a decision: a question that is not
/// answered is an answer too, [`Said::Nothing`].
pub trait Probe: Send + Sync {
    /// Asks the question of one gate of `deployment`.
    fn ask(&self, deployment: &Deployment, gate: &Gate) -> impl Future<Output = Said> + Send;
}

/// Tells the time, by two clocks.
pub trait Clock: Send + Sync {
    /// What the wall clock shows: for people, and for what others wrote down by theirs. Somebody may
    /// set it at any moment.
    fn now(&self) -> UnixMs;

    /// Milliseconds by a clock that only goes forward, from a beginning of its own: for lengths of
    /// time within one process. It may stand still while the machine sleeps.
    fn steady_ms(&self) -> u64;
}
