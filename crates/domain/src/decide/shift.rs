//! `Shift`: users are split as the plan says, and routers were seen to do so.

use super::{
    Moment,
    users::{self, SHIFT_DEADLINE_MS},
};
use crate::{
    deployment::Decision,
    reason::{Failure, Waiting},
    users::{Split, Weights},
};

pub(super) fn decide(moment: &Moment<'_>, shift: &Split) -> Decision {
    let split = users::possible(moment, shift);
    if users::are_split(moment, &split) && !another_is_under_way(moment, &split) {
        return moment.reached_by_users(Decision::Next);
    }
    let late = moment.waited_ms() > SHIFT_DEADLINE_MS && moment.going_forward();
    if let Some((healthy, wanted)) = not_whole(moment, &split.weights) {
        let launch = moment.deployment.launch.id.clone();
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
                trouble: moment.slice.trouble.clone(),
            })
        };
    }
    if late {
        return Decision::Fail(Failure::NotShifted {
            within_ms: SHIFT_DEADLINE_MS,
        });
    }
    if moment.seen.weights.same(&split.weights) {
        return Decision::Apply(split.into());
    }
    users::move_to(moment, split)
}

/// What is seen may be about to change: an earlier request of this deployment, maybe one whose reply
/// was lost, has not had its effect yet. Asking for this split again puts it last.
fn another_is_under_way(moment: &Moment<'_>, split: &Split) -> bool {
    let deployment = moment.deployment;
    let moves_users = deployment.roles.are_apart() || deployment.stable.is_none();
    let asked = deployment.progress.asked_traffic.as_ref();
    moves_users && !asked.is_some_and(|asked| asked.same(split))
}

/// More users are moved to the new release only while all of its instances are healthy: how many
/// are, and how many must be.
fn not_whole(moment: &Moment<'_>, weights: &Weights) -> Option<(u32, u32)> {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    let grows = weights.share(roles.next) > moment.seen.weights.share(roles.next);
    let healthy = moment.healthy;
    let wanted = deployment.capacity().asked;
    (roles.are_apart() && moment.going_forward() && grows && healthy < wanted)
        .then_some((healthy, wanted))
}
