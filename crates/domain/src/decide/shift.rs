//! `Shift`: users are split as the plan says, and routers were seen to do so.

use super::{Decision, Failure, Look, Waiting};
use crate::{effect::Effect, observation::Weights};

/// How long routers may take to serve new weights, in milliseconds. DNS is the slowest: Route 53
/// usually answers from everywhere within 60 s, plus a TTL of 60 s.
const SHIFT_DEADLINE_MS: u64 = 300_000;

pub(super) fn decide(look: &Look<'_>, weights: &Weights) -> Decision {
    if same(&look.seen.weights, weights) {
        return look.reached(Decision::Next);
    }
    if look.waited_ms() > SHIFT_DEADLINE_MS && look.going_forward() {
        return Decision::Fail(Failure::NotShifted {
            within_ms: SHIFT_DEADLINE_MS,
        });
    }
    if !served_by_somebody(look, weights) {
        return Decision::Wait(Waiting::Weights);
    }
    Decision::Apply(Effect::SetTraffic {
        weights: weights.clone(),
        mirror: None,
    })
}

/// Two splits are the same when every slice has the same share; weight 0 is the same as none.
pub(super) fn same(one: &Weights, other: &Weights) -> bool {
    let share = |weights: &Weights, slice| weights.get(slice).copied().unwrap_or(0);
    one.keys()
        .chain(other.keys())
        .all(|slice| share(one, slice) == share(other, slice))
}

/// No slice gets users that has no healthy instance.
fn served_by_somebody(look: &Look<'_>, weights: &Weights) -> bool {
    weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .all(|(slice, _)| look.seen.slice(*slice).healthy() > 0)
}
