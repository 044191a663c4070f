//! One turn: observe, decide, apply, save. A step that is reached is followed by the next one, on the
//! same look.
//!
//! Read it top to bottom; this is all that ever drives a deployment, on the first run, after a crash
//! and on the way back.
//!
//! Invariant: nothing is remembered between two turns except what `save` stored, and a few seconds of
//! time that passed since. A crash anywhere loses this turn, those seconds and nothing else.

use domain::{
    decide::{decide, on_failed_request, on_provider_error, questions},
    deployment::{Decided, Decision, Deployment},
    event::{self, Event},
    gate::Answer,
    observation::Observation,
    reason::Waiting,
};
use futures_util::future::join_all;

use crate::{
    ports::{Clock, ErrorKind, Journal, JournalError, Probe, Provider, ProviderError, Saved},
    stopwatch::{Reading, Stopwatch},
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

/// Takes one turn with the deployment as it was last read, whose time `watch` counts.
///
/// # Errors
/// When the journal cannot be used. The turn is lost then; the next one starts from the journal.
pub async fn turn<P: Provider, Q: Probe, J: Journal, C: Clock>(
    world: &World<P, Q, J, C>,
    deployment: Deployment,
    watch: &mut Stopwatch,
) -> Result<Turned, JournalError> {
    let look = look(world, &deployment).await;
    let mut deployment = deployment;
    loop {
        match act(world, deployment, &look, watch).await? {
            Acted::GoOn(after) => deployment = after,
            Acted::Done(turned) => return Ok(turned),
        }
    }
}

/// What the provider said, and when.
struct Observed {
    seen: Result<Observation, ProviderError>,
    asked: Reading,
    /// How long after it was asked it looked, in milliseconds.
    waited_ms: u64,
}

impl Observed {
    /// Nothing is to be begun or ended on it any more; nor where the machine slept meanwhile, which a
    /// steady clock does not tell.
    fn is_old(&self, clock: &impl Clock) -> bool {
        let now = Reading::of(clock);
        let age_ms = now.since_ms(self.asked).saturating_sub(self.waited_ms);
        age_ms > DECISION_AGE_MS_MAX || now.set_by_ms(self.asked).is_some()
    }
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
    let asked = Reading::of(&world.clock);
    let seen = world.provider.observe(&deployment.target).await;
    // A provider may let many wait for one look; what counts is when it looked.
    let took_ms = Reading::of(&world.clock).since_ms(asked);
    let waited_ms = seen.as_ref().map_or(0, |seen| seen.waited_ms);
    Observed {
        seen,
        asked,
        waited_ms: waited_ms.min(took_ms),
    }
}

/// Decides once, applies, saves.
async fn act<P: Provider, Q: Probe, J: Journal, C: Clock>(
    world: &World<P, Q, J, C>,
    mut before: Deployment,
    look: &Observed,
    watch: &mut Stopwatch,
) -> Result<Acted, JournalError> {
    let superseded = Ok(Acted::Done(Turned::Superseded));
    watch.pass(&mut before, &world.clock);
    let set_by_ms = watch.clock_was_set();
    if set_by_ms.is_some() {
        before.clock_was_set();
    }
    let decided = match &look.seen {
        Ok(seen) => {
            let answers = ask(world, &before).await;
            decide(&before, seen, &answers)
        }
        Err(error) => on_error(&before, error),
    };
    let requested = matches!(decided.then, Decision::Apply(_));
    let decided = match &decided.then {
        then if moves(then) && look.is_old(&world.clock) => return superseded,
        Decision::Apply(effect) => {
            let token = before.token();
            match world.provider.apply(&before.target, effect, &token).await {
                Ok(()) => decided,
                Err(error) if error.kind == ErrorKind::Superseded => return superseded,
                Err(error) => Decided {
                    failed: Some(effect.clone()),
                    then: on_failed_request(&before, error.kind.is_transient(), &error.message),
                    ..decided
                },
            }
        }
        _ => decided,
    };
    watch.pass(&mut before, &world.clock);
    let now = world.clock.now();
    let mut after = before.clone().after(&decided, now);
    if after.version == before.version && (set_by_ms.is_some() || watch.is_due(&after)) {
        after.version += 1;
    }
    if after.version != before.version {
        let clock = set_by_ms.map(|by_ms| event::of_clock(&before, by_ms, now));
        let mut events: Vec<Event> = clock.into_iter().collect();
        events.extend(event::of_turn(&before, &decided, &after, now));
        let saved = world.journal.save(&after, &events).await;
        if requested && !matches!(saved, Ok(Saved::Stored)) {
            watch.not_recorded();
        }
        if saved? == Saved::Superseded {
            return superseded;
        }
        watch.stored(&after, set_by_ms);
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
    let questions = questions(deployment);
    let answers = questions.into_iter().map(|(index, gate)| async move {
        Answer {
            gate: index,
            said: world.probe.ask(deployment, gate).await,
            at: deployment.time.driven,
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
        Decision::Keep(Waiting::Provider { .. }) | Decision::Wait(Waiting::Provider { .. }) => {
            Turned::Troubled(after)
        }
        Decision::Hold { .. } | Decision::Wait(_) | Decision::Keep(_) => Turned::Waits(after),
        Decision::Record(_) | Decision::Apply(_) | Decision::Fail(_) | Decision::Finish(_) => {
            Turned::Moved(after)
        }
    })
}
