//! One turn: observe, decide, apply, save.
//!
//! Read it top to bottom; this is all that ever drives a deployment, on the first run, after a crash
//! and on the way back.
//!
//! Invariant: nothing is remembered between two turns except what `save` stored. A crash anywhere
//! loses this turn and nothing else.

use domain::{
    decide::{Decision, decide, on_provider_error, questions},
    deployment::Deployment,
    event,
    gate::Answer,
    time::UnixMs,
};
use futures_util::future::join_all;

use crate::ports::{
    Clock, ErrorKind, Journal, JournalError, Probe, Provider, ProviderError, Saved,
};

/// A decision older than this is not acted upon, in milliseconds: the process was frozen, and somebody
/// else may have taken over. Far below the lease, so that two engines never act on the same belief.
pub const DECISION_AGE_MS_MAX: u64 = 15_000;

/// What a turn needs of the world.
#[derive(Debug)]
pub struct World<P, Q, J, C> {
    /// Where instances run.
    pub provider: P,
    /// Whom gates ask.
    pub probe: Q,
    /// What survives a crash.
    pub journal: J,
    /// What time it is.
    pub clock: C,
}

/// What became of a deployment in one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// It moved: the next turn may follow at once.
    Moved(Deployment),
    /// It waits: look again a little later.
    Waits(Deployment),
    /// The provider is in trouble: look again, later and later.
    Troubled(Deployment),
    /// It ended.
    Ended(Deployment),
    /// Somebody else changed the record or drives it now: read it again before going on.
    Superseded,
}

/// Takes one turn with the deployment as it was last read.
///
/// # Errors
/// When the journal cannot be used. The turn is lost then; the next one starts from the journal.
pub async fn turn<P: Provider, Q: Probe, J: Journal, C: Clock>(
    world: &World<P, Q, J, C>,
    before: Deployment,
) -> Result<Turned, JournalError> {
    let (decision, looked_at) = observe_and_decide(world, &before).await;
    let decision = match decision {
        Decision::Apply(_) if world.clock.now().since_ms(looked_at) > DECISION_AGE_MS_MAX => {
            return Ok(Turned::Superseded);
        }
        Decision::Apply(effect) => {
            match world
                .provider
                .apply(&before.target, &effect, &before.token())
                .await
            {
                Ok(()) => Decision::Apply(effect),
                Err(error) if error.kind == ErrorKind::Superseded => return Ok(Turned::Superseded),
                Err(error) => on_error(&before, &error),
            }
        }
        decision => decision,
    };
    let now = world.clock.now();
    let after = before.clone().after(&decision, now);
    if after != before {
        let events = event::of_turn(&before, &decision, &after, now);
        if world.journal.save(&after, &events).await? == Saved::Superseded {
            return Ok(Turned::Superseded);
        }
    }
    Ok(turned(&decision, after))
}

/// The decision, and when the world was as it was decided upon.
async fn observe_and_decide<P: Provider, Q: Probe, J: Journal, C: Clock>(
    world: &World<P, Q, J, C>,
    deployment: &Deployment,
) -> (Decision, UnixMs) {
    let asked_at = world.clock.now();
    match world.provider.observe(&deployment.target).await {
        Ok(seen) => {
            // A provider may let many wait for one look; what counts is when it looked.
            let looked_at = asked_at.max(seen.at);
            let answers = ask(world, deployment).await;
            let decision = decide(deployment, &seen, &answers, world.clock.now());
            (decision, looked_at)
        }
        Err(error) => (on_error(deployment, &error), asked_at),
    }
}

/// The answers to what gates must ask the world outside now: usually nothing.
async fn ask<P, Q: Probe, J, C: Clock>(
    world: &World<P, Q, J, C>,
    deployment: &Deployment,
) -> Vec<Answer> {
    let questions = questions(deployment, world.clock.now());
    let answers = questions.into_iter().map(|(index, gate)| async move {
        Answer {
            gate: index,
            said: world.probe.ask(deployment, gate).await,
            at: world.clock.now(),
        }
    });
    join_all(answers).await
}

fn on_error(deployment: &Deployment, error: &ProviderError) -> Decision {
    on_provider_error(deployment, error.kind.is_transient(), &error.message)
}

fn turned(decision: &Decision, after: Deployment) -> Turned {
    use domain::decide::Waiting;
    match decision.settled() {
        _ if after.ending.is_some() => Turned::Ended(after),
        Decision::Keep(Waiting::Provider { .. }) => Turned::Troubled(after),
        Decision::Hold { .. } | Decision::Wait(_) | Decision::Keep(_) => Turned::Waits(after),
        Decision::Look { .. }
        | Decision::Record(_)
        | Decision::Apply(_)
        | Decision::Next
        | Decision::Fail(_)
        | Decision::Finish(_) => Turned::Moved(after),
    }
}
