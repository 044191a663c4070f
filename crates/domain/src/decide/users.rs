//! What is known about users: where they are, where they can go, and the request that moves them.

use super::Look;
use crate::{
    deployment::Decision,
    plan::Step,
    reason::{Failure, Waiting},
    users::{Split, Weights},
};

/// How long routers may take to serve new weights, in milliseconds. DNS is the slowest: Route 53
/// usually answers from everywhere within 60 s, plus a TTL of 60 s.
pub(super) const SHIFT_DEADLINE_MS: u64 = 300_000;

/// Routers were seen to split users and to copy requests like this.
pub(super) fn are_split(look: &Look<'_>, split: &Split) -> bool {
    look.seen.weights.same(&split.weights) && look.seen.mirror == split.mirror
}

/// The split that can be: where nothing of stable is healthy, all users that would be shared with it
/// go to the new release at once, and stay there. Deploying the fix must be possible while stable is
/// broken.
pub(super) fn possible(look: &Look<'_>, split: &Split) -> Split {
    let roles = look.deployment.roles;
    let weights = &split.weights;
    let shared = weights.share(roles.next) > 0 && weights.share(roles.live) > 0;
    let mut possible = split.clone();
    if shared && roles.are_apart() && look.going_forward() && stable_serves_nobody(look) {
        possible.weights = Weights::all_on(roles.next);
    }
    possible
}

/// Stable has no healthy instance, or had none when users were moved away from it.
pub(super) fn stable_serves_nobody(look: &Look<'_>) -> bool {
    let deployment = look.deployment;
    let roles = deployment.roles;
    let asked = deployment.progress.asked_traffic.as_ref();
    let moved = asked.is_some_and(|asked| asked.weights.share(roles.next) == 100);
    moved || look.seen.slice(roles.live).healthy() == 0
}

/// The request that splits users again as the last shift said, where they are not: a request that was
/// held up somewhere may come after a newer one.
pub(super) fn bring_back(look: &Look<'_>) -> Option<Decision> {
    let progress = &look.deployment.progress;
    let before = progress.steps[..progress.at].iter().rev();
    let shift = before.into_iter().find_map(|step| match step {
        Step::Shift(split) => Some(split),
        _ => None,
    })?;
    let split = possible(look, shift);
    let strayed = look.deployment.roles.are_apart() && !are_split(look, &split);
    strayed.then(|| move_to(look, split))
}

/// The request for `split`, once every slice that gets users can answer them.
pub(super) fn move_to(look: &Look<'_>, split: Split) -> Decision {
    if are_served_by(look, &split.weights) {
        return Decision::Apply(split.into());
    }
    let within_ms = SHIFT_DEADLINE_MS;
    if look.waited_ms() > within_ms {
        Decision::Fail(Failure::NotShifted { within_ms })
    } else {
        Decision::Wait(Waiting::Weights)
    }
}

/// Every slice that gets users has a healthy instance.
pub(super) fn are_served_by(look: &Look<'_>, weights: &Weights) -> bool {
    let mut served = weights.served();
    served.all(|slice| look.seen.slice(slice).healthy() > 0)
}
