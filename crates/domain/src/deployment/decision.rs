//! What a turn of the engine comes to, as a deployment takes it.

use super::{Certificate, Held, Watch};
use crate::{
    effect::Effect,
    gate::GateLook,
    plan::Baseline,
    reason::{Failure, Waiting},
    time::DrivenMs,
};

/// What one turn comes to: what gates were seen to say, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What to remember of the gates; `None`: none was looked at.
    pub watch: Option<Watch>,
    /// The looks at gates, for people.
    pub looks: Vec<GateLook>,
    /// Since when nothing of stable is healthy, going forward from a stable in a slice of its own.
    pub stable_gone_since: Option<DrivenMs>,
    /// The request that the provider failed to take, or refused, after which `then` is done instead. It may
    /// have been carried out.
    pub failed: Option<Effect>,
    /// What to do.
    pub then: Decision,
}

/// What one turn does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Keep this baseline before anything is changed.
    Record(Baseline),
    /// Ask the provider for this.
    Apply(Effect),
    /// The condition holds; go on looking.
    Hold {
        /// Since when, without a break, and for whom.
        held: Held,
        /// What it is held for.
        waiting: Waiting,
    },
    /// The condition does not hold yet.
    Wait(Waiting),
    /// Nothing can be learned now; what was known stays.
    Keep(Waiting),
    /// The condition is reached.
    Next,
    /// The condition will not be reached.
    Fail(Failure),
    /// The baseline is restored.
    Finish(Certificate),
}

impl From<Decision> for Decided {
    fn from(then: Decision) -> Self {
        Self {
            watch: None,
            looks: Vec::new(),
            stable_gone_since: None,
            failed: None,
            then,
        }
    }
}
