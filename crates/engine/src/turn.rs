//! One turn: observe, decide, apply, save. A step that is reached is followed by the next one, on the
//! same look.
//!
//! Read it top to bottom; this is all that ever drives a deployment, on the first run, after a crash
//! and on the way back.
//!
//! Invariant: nothing is remembered between two turns except what `save` stored. A crash anywhere
//! loses this turn and nothing else.

use domain::{
    decide::{decide, on_provider_error, questions},
    deployment::{Decided, Decision, Deployment},
    event,
    gate::Answer,
    observation::Observation,
    reason::Waiting,
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
    deployment: Deployment,
) -> Result<Turned, JournalError> {
    let look = look(world, &deployment).await;
    let mut deployment = deployment;
    loop {
        match act(world, deployment, &look).await? {
            Acted::GoOn(after) => deployment = after,
            Acted::Done(turned) => return Ok(turned),
        }
    }
}

/// What the provider said, and how the world was when it looked.
struct Observed {
    seen: Result<Observation, ProviderError>,
    at: UnixMs,
}

/// What became of one decision.
enum Acted {
    /// A step begins, and nothing was changed outside: the same look says what it needs.
    GoOn(Deployment),
    /// The turn is over.
    Done(Turned),
}

async fn look<P: Provider, Q, J, C: Clock>(
    world: &World<P, Q, J, C>,
    deployment: &Deployment,
) -> Observed {
    let asked_at = world.clock.now();
    let seen = world.provider.observe(&deployment.target).await;
    // A provider may let many wait for one look; what counts is when it looked.
    let at = seen.as_ref().map_or(asked_at, |seen| asked_at.max(seen.at));
    Observed { seen, at }
}

/// Decides once, applies, saves.
async fn act<P: Provider, Q: Probe, J: Journal, C: Clock>(
    world: &World<P, Q, J, C>,
    before: Deployment,
    look: &Observed,
) -> Result<Acted, JournalError> {
    let superseded = Ok(Acted::Done(Turned::Superseded));
    let decided = match &look.seen {
        Ok(seen) => {
            let answers = ask(world, &before).await;
            decide(&before, seen, &answers, world.clock.now())
        }
        Err(error) => on_error(&before, error),
    };
    let decided = match &decided.then {
        then if moves(then) && world.clock.now().since_ms(look.at) > DECISION_AGE_MS_MAX => {
            return superseded;
        }
        Decision::Apply(effect) => {
            let token = before.token();
            match world.provider.apply(&before.target, effect, &token).await {
                Ok(()) => decided,
                Err(error) if error.kind == ErrorKind::Superseded => return superseded,
                Err(error) => on_error(&before, &error),
            }
        }
        _ => decided,
    };
    let now = world.clock.now();
    let after = before.clone().after(&decided, now);
    if after != before {
        let events = event::of_turn(&before, &decided, &after, now);
        if world.journal.save(&after, &events).await? == Saved::Superseded {
            return superseded;
        }
    }
    Ok(acted(&decided.then, after))
}

/// The decision changes something, or ends something: never on the grounds of an old look.
fn moves(decision: &Decision) -> bool {
    match decision {
        Decision::Record(_)
        | Decision::Apply(_)
        | Decision::Next
        | Decision::Fail(_)
        | Decision::Finish(_) => true,
        Decision::Hold { .. } | Decision::Wait(_) | Decision::Keep(_) => false,
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

fn on_error(deployment: &Deployment, error: &ProviderError) -> Decided {
    on_provider_error(deployment, error.kind.is_transient(), &error.message).into()
}

fn acted(decision: &Decision, after: Deployment) -> Acted {
    Acted::Done(match decision {
        _ if after.ending.is_some() => Turned::Ended(after),
        Decision::Next => return Acted::GoOn(after),
        Decision::Keep(Waiting::Provider { .. }) => Turned::Troubled(after),
        Decision::Hold { .. } | Decision::Wait(_) | Decision::Keep(_) => Turned::Waits(after),
        Decision::Record(_) | Decision::Apply(_) | Decision::Fail(_) | Decision::Finish(_) => {
            Turned::Moved(after)
        }
    })
}
