//! `Shift`: users are split as the plan says, and routers were seen to do so.

use super::{
    Look,
    users::{self, SHIFT_DEADLINE_MS},
};
use crate::{
    deployment::Decision,
    reason::{Failure, Waiting},
    users::{Split, Weights},
};

pub(super) fn decide(look: &Look<'_>, shift: &Split) -> Decision {
    let split = users::possible(look, shift);
    if users::are_split(look, &split) && !another_is_under_way(look, &split) {
        return look.reached_by_users(Decision::Next);
    }
    let late = look.waited_ms() > SHIFT_DEADLINE_MS && look.going_forward();
    if let Some((healthy, wanted)) = not_whole(look, &split.weights) {
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
    if look.seen.weights.same(&split.weights) {
        return Decision::Apply(split.into());
    }
    users::move_to(look, split)
}

/// What is seen may be about to change: an earlier request of this deployment, maybe one whose reply
/// was lost, has not had its effect yet. Asking for this split again puts it last.
fn another_is_under_way(look: &Look<'_>, split: &Split) -> bool {
    let deployment = look.deployment;
    let moves_users = deployment.roles.are_apart() || deployment.stable.is_none();
    let asked = deployment.progress.asked_traffic.as_ref();
    moves_users && !asked.is_some_and(|asked| asked.same(split))
}

/// More users are moved to the new release only while all of its instances are healthy: how many
/// are, and how many must be.
fn not_whole(look: &Look<'_>, weights: &Weights) -> Option<(u32, u32)> {
    let deployment = look.deployment;
    let roles = deployment.roles;
    let grows = weights.share(roles.next) > look.seen.weights.share(roles.next);
    let healthy = look.healthy;
    let wanted = deployment.capacity().asked;
    (roles.are_apart() && look.going_forward() && grows && healthy < wanted)
        .then_some((healthy, wanted))
}
