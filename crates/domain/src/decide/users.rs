//! What is known about users: where they are, where they can go, and the request that moves them.

use super::Moment;
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
pub(super) fn are_split(moment: &Moment<'_>, split: &Split) -> bool {
    moment.seen.weights.same(&split.weights) && moment.seen.mirror == split.mirror
}

/// The split that can be: where nothing of stable is healthy, all users that would be shared with it
/// go to the new release at once, and stay there. Deploying the fix must be possible while stable is
/// broken.
pub(super) fn possible(moment: &Moment<'_>, split: &Split) -> Split {
    let roles = moment.deployment.roles;
    let weights = &split.weights;
    let shared = weights.share(roles.next) > 0 && weights.share(roles.live) > 0;
    let mut possible = split.clone();
    if shared && roles.are_apart() && moment.going_forward() && stable_serves_nobody(moment) {
        possible.weights = Weights::all_on(roles.next);
    }
    possible
}

/// Stable has no healthy instance, or had none when users were moved away from it.
pub(super) fn stable_serves_nobody(moment: &Moment<'_>) -> bool {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    let asked = deployment.progress.asked_traffic.as_ref();
    let moved = asked.is_some_and(|asked| asked.weights.share(roles.next) == 100);
    moved || moment.seen.slice(roles.live).healthy() == 0
}

/// The request that splits users again as the last shift said, where they are not: a request that was
/// held up somewhere may come after a newer one.
pub(super) fn bring_back(moment: &Moment<'_>) -> Option<Decision> {
    let progress = &moment.deployment.progress;
    let before = progress.steps[..progress.at].iter().rev();
    let shift = before.into_iter().find_map(|step| match step {
        Step::Shift(split) => Some(split),
        _ => None,
    })?;
    let split = possible(moment, shift);
    let strayed = moment.deployment.roles.are_apart() && !are_split(moment, &split);
    strayed.then(|| move_to(moment, split))
}

/// The request for `split`, once every slice that gets users can answer them.
pub(super) fn move_to(moment: &Moment<'_>, split: Split) -> Decision {
    if are_served_by(moment, &split.weights) {
        return Decision::Apply(split.into());
    }
    let within_ms = SHIFT_DEADLINE_MS;
    if moment.waited_ms() > within_ms {
        Decision::Fail(Failure::NotShifted { within_ms })
    } else {
        Decision::Wait(Waiting::Weights)
    }
}

/// Every slice that gets users has a healthy instance.
pub(super) fn are_served_by(moment: &Moment<'_>, weights: &Weights) -> bool {
    let mut served = weights.served();
    served.all(|slice| moment.seen.slice(slice).healthy() > 0)
}
