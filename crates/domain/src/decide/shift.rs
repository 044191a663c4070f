//! `Shift`: users are split as the plan says, and routers were seen to do so.

use super::{Decision, Failure, Look, Waiting};
use crate::{
    effect::Effect,
    observation::{Slice, Weights},
    plan::{Split, Step, two_slices::split},
};

/// How long routers may take to serve new weights, in milliseconds. DNS is the slowest: Route 53
/// usually answers from everywhere within 60 s, plus a TTL of 60 s.
const SHIFT_DEADLINE_MS: u64 = 300_000;

pub(super) fn decide(look: &Look<'_>, shift: &Split) -> Decision {
    let split = possible(look, shift);
    let weights = &split.weights;
    if is_seen(look, &split) && !another_is_under_way(look, &split) {
        return look.reached_by_users(Decision::Next);
    }
    let late = look.waited_ms() > SHIFT_DEADLINE_MS && look.going_forward();
    if let Some((healthy, wanted)) = not_whole(look, weights) {
        let launch = look.deployment.launch.id.clone();
        return if late {
            Decision::Fail(Failure::NotStable {
                launch,
                healthy,
                wanted,
            })
        } else {
            Decision::Wait(Waiting::Recovering {
                launch,
                healthy,
                wanted,
                trouble: look.slice.trouble.clone(),
            })
        };
    }
    if late {
        return Decision::Fail(Failure::NotShifted {
            within_ms: SHIFT_DEADLINE_MS,
        });
    }
    let moves_users = !same(&look.seen.weights, weights);
    if moves_users && !served_by_somebody(look, weights) {
        return unserved(look);
    }
    Decision::Apply(request(split))
}

fn request(split: Split) -> Effect {
    let Split { weights, mirror } = split;
    Effect::SetTraffic { weights, mirror }
}

/// Routers were seen to split users and to copy requests like this.
fn is_seen(look: &Look<'_>, split: &Split) -> bool {
    same(&look.seen.weights, &split.weights) && look.seen.mirror == split.mirror
}

/// The split that can be: where nothing of stable is healthy, all users that would be shared with it
/// go to the new release at once, and stay there. Deploying the fix must be possible while stable is
/// broken.
fn possible(look: &Look<'_>, shift: &Split) -> Split {
    let roles = look.deployment.roles;
    let weights = &shift.weights;
    let shared = share(weights, roles.next) > 0 && share(weights, roles.live) > 0;
    let mut possible = shift.clone();
    if shared && roles.are_apart() && look.going_forward() && stable_serves_nobody(look) {
        possible.weights = split(roles.next, roles.live, 100);
    }
    possible
}

/// Stable has no healthy instance, or had none when users were moved away from it.
pub(super) fn stable_serves_nobody(look: &Look<'_>) -> bool {
    let deployment = look.deployment;
    let roles = deployment.roles;
    let asked = deployment.progress.asked_traffic.as_ref();
    let moved = asked.is_some_and(|asked| share(&asked.weights, roles.next) == 100);
    moved || look.seen.slice(roles.live).healthy() == 0
}

/// Users are still split as the last shift said, or the request that makes it so again: a request
/// that was held up somewhere may come after a newer one.
pub(super) fn again(look: &Look<'_>) -> Option<Decision> {
    let progress = &look.deployment.progress;
    let before = progress.steps[..progress.at].iter().rev();
    let shift = before.into_iter().find_map(|step| match step {
        Step::Shift(split) => Some(split),
        _ => None,
    })?;
    let split = possible(look, shift);
    let apart = look.deployment.roles.are_apart();
    if !apart || is_seen(look, &split) {
        return None;
    }
    Some(if served_by_somebody(look, &split.weights) {
        Decision::Apply(request(split))
    } else {
        unserved(look)
    })
}

/// Users cannot go where they shall: for a while that may change.
pub(super) fn unserved(look: &Look<'_>) -> Decision {
    if look.waited_ms() > SHIFT_DEADLINE_MS {
        Decision::Fail(Failure::NotShifted {
            within_ms: SHIFT_DEADLINE_MS,
        })
    } else {
        Decision::Wait(Waiting::Weights)
    }
}

/// What is seen may be about to change: an earlier request of this deployment, maybe one whose reply
/// was lost, has not had its effect yet. Asking for this split again puts it last.
fn another_is_under_way(look: &Look<'_>, split: &Split) -> bool {
    let deployment = look.deployment;
    let moves_users = deployment.roles.are_apart() || deployment.stable.is_none();
    let asked = deployment.progress.asked_traffic.as_ref();
    let last = |asked: &Split| same(&asked.weights, &split.weights) && asked.mirror == split.mirror;
    moves_users && !asked.is_some_and(last)
}

/// Two splits are the same when every slice has the same share; weight 0 is the same as none.
pub(super) fn same(one: &Weights, other: &Weights) -> bool {
    one.keys()
        .chain(other.keys())
        .all(|slice| share(one, *slice) == share(other, *slice))
}

fn share(weights: &Weights, slice: Slice) -> u8 {
    weights.get(&slice).copied().unwrap_or(0)
}

/// More users are moved to the new release only while all of its instances are healthy: how many
/// are, and how many must be.
fn not_whole(look: &Look<'_>, weights: &Weights) -> Option<(u32, u32)> {
    let deployment = look.deployment;
    let roles = deployment.roles;
    let grows = share(weights, roles.next) > look.users_on(roles.next);
    let healthy = look.slice.healthy_of(&deployment.launch.id);
    let wanted = deployment.capacity().asked;
    (roles.are_apart() && look.going_forward() && grows && healthy < wanted)
        .then_some((healthy, wanted))
}

/// No slice gets users that has no healthy instance.
pub(super) fn served_by_somebody(look: &Look<'_>, weights: &Weights) -> bool {
    weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .all(|(slice, _)| look.seen.slice(*slice).healthy() > 0)
}
