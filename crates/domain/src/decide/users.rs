//! What is known about users: where they are, where they can go, and the request that moves them.

use super::Moment;
use crate::{
    deployment::Decision,
    plan::Step,
    reason::{Failure, Waiting},
    slice::Slice,
    time::DrivenMs,
    users::{Split, Weights},
};

/// How long routers may take to serve new weights, in milliseconds. DNS is the slowest: Route 53
/// usually answers from everywhere within 60 s, plus a TTL of 60 s.
pub(super) const SHIFT_DEADLINE_MS: u64 = 300_000;

/// Routers were seen to split users and to copy requests like this.
pub(super) fn are_split(moment: &Moment<'_>, split: &Split) -> bool {
    moment.seen.weights.same(&split.weights) && moment.seen.mirror == split.mirror
}

/// The split that can be: once nothing of stable was healthy for the whole health deadline, all users
/// that would be shared with it go to the new release, until stable is healthy again. Deploying the
/// fix must be possible while stable is broken; a look at which stable is ill moves nobody.
pub(super) fn possible(moment: &Moment<'_>, split: &Split) -> Split {
    let roles = moment.deployment.roles;
    let weights = &split.weights;
    let shared = weights.share(roles.next) > 0 && weights.share(roles.live) > 0;
    let mut possible = split.clone();
    if shared
        && moment
            .stable_gone_since
            .is_some_and(|since| is_gone_for_good(moment, since))
    {
        possible.weights = Weights::all_on(roles.next);
    }
    possible
}

/// Since when nothing of stable is healthy, as far as it is known, going forward from a stable that
/// has a slice of its own. Given up for lost, stable counts again when half of it is healthy.
pub(super) fn stable_gone_since(moment: &Moment<'_>) -> Option<DrivenMs> {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    if !roles.are_apart() || !moment.going_forward() {
        return None;
    }
    let before = deployment.progress.stable_gone_since;
    let healthy = moment.seen.slice(roles.live).healthy();
    let half = moment.baseline.live_sizes().desired.div_ceil(2);
    match before {
        Some(since) if healthy < half && is_gone_for_good(moment, since) => before,
        _ if healthy == 0 => before.or(Some(moment.now)),
        _ => None,
    }
}

/// Stable had nobody for as long as its instances would have had to become healthy.
fn is_gone_for_good(moment: &Moment<'_>, since: DrivenMs) -> bool {
    moment.now.since_ms(since) >= moment.deployment.strategy.health_deadline_ms()
}

/// The request that splits users again as the last shift said, where they are not and can be: a
/// request that was held up somewhere may come after a newer one.
pub(super) fn bring_back(moment: &Moment<'_>) -> Option<Decision> {
    let progress = &moment.deployment.progress;
    let before = progress.steps[..progress.at].iter().rev();
    let shift = before.into_iter().find_map(|step| match step {
        Step::Shift(split) => Some(split),
        _ => None,
    })?;
    let split = possible(moment, shift);
    let strayed = moment.deployment.roles.are_apart() && !are_split(moment, &split);
    (strayed && can_move(moment, &split.weights)).then(|| Decision::Apply(split.into()))
}

/// The request for `split`, once every slice that gets more users can answer them.
pub(super) fn move_to(moment: &Moment<'_>, split: Split) -> Decision {
    if can_move(moment, &split.weights) {
        return Decision::Apply(split.into());
    }
    let within_ms = SHIFT_DEADLINE_MS;
    if moment.waited_ms() > within_ms {
        Decision::Fail(Failure::NotShifted { within_ms })
    } else {
        Decision::Wait(Waiting::Weights)
    }
}

/// Every slice that gets more users than it has now has a healthy instance that stays.
fn can_move(moment: &Moment<'_>, weights: &Weights) -> bool {
    let now = &moment.seen.weights;
    let mut grow = weights
        .served()
        .filter(|slice| weights.share(*slice) > now.share(*slice));
    grow.all(|slice| serves(moment, slice))
}

/// Every slice that gets users has a healthy instance that stays.
pub(super) fn are_served_by(moment: &Moment<'_>, weights: &Weights) -> bool {
    let mut served = weights.served();
    served.all(|slice| serves(moment, slice))
}

/// `slice` has a healthy instance, and one that stays.
pub(super) fn serves(moment: &Moment<'_>, slice: Slice) -> bool {
    let seen = moment.seen.slice(slice);
    seen.staying(seen.present()) > 0
}
