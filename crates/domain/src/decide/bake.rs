//! `Bake`: the release stays healthy under watch, and its gates are met.

use super::{Moment, gates, users};
use crate::{
    deployment::{Decided, Decision, Held},
    observation::{Instance, InstanceState, count},
    plan::{Bake, Until},
    reason::{Failure, Waiting},
    release::LaunchId,
};

pub(super) fn decide(moment: &Moment<'_>, bake: &Bake) -> Decided {
    let Bake {
        launch,
        count: wanted,
        until,
        ..
    } = bake;
    if let Some(decision) = users::bring_back(moment) {
        return decision.into();
    }
    let bake_ms = u64::from(until.seconds) * 1000;
    let progress = &moment.deployment.progress;
    // One that was replaced between two looks did not stay healthy, although all are healthy now.
    let watched = progress.held.as_ref().filter(|_| until.warm.is_none());
    let stayed = |i: &&&Instance| {
        let watched = watched.is_none_or(|held| held.instances.contains(&i.id));
        i.state == InstanceState::Healthy && watched
    };
    let healthy = count(moment.mine.iter().filter(stayed));
    if healthy < *wanted {
        return lost(moment, launch, healthy, *wanted, bake_ms).into();
    }
    // The wait of a warm slice is for its users, not for evidence: a loss does not begin it again.
    let held = match (until.warm, watched) {
        (Some(_), _) => Held::since(progress.since),
        (None, Some(held)) => held.clone(),
        (None, None) => Held {
            since: moment.now,
            instances: moment
                .mine
                .iter()
                .filter(stayed)
                .map(|i| i.id.clone())
                .collect(),
        },
    };
    let elapsed = moment.now.since_ms(held.since) >= bake_ms.max(moment.seen.stale_ms_max);
    let ends_at = moment
        .deployment
        .time
        .on_the_wall(held.since.plus_ms(bake_ms));
    let gates = gates::look(moment, until);
    let then = match gates.standing {
        gates::Together::Failed(failure) => Decision::Fail(failure),
        gates::Together::Met if elapsed => Decision::Next,
        gates::Together::Open(waiting) if elapsed => Decision::Hold { held, waiting },
        gates::Together::Met | gates::Together::Open(_) => Decision::Hold {
            held,
            waiting: under_watch(launch, until, ends_at),
        },
    };
    Decided {
        watch: gates.watch,
        looks: gates.looks,
        ..Decided::from(then)
    }
}

fn under_watch(launch: &LaunchId, until: &Until, ends_at: crate::time::UnixMs) -> Waiting {
    let launch = launch.clone();
    match until.warm {
        Some(slice) => Waiting::Warm {
            launch,
            slice,
            until: ends_at,
        },
        None => Waiting::Baking {
            launch,
            until: ends_at,
        },
    }
}

/// One instance lost by chance is replaced, and the watch begins anew, also where it was the only one;
/// more than half lost at once, the only one ill, or never a whole bake without a loss, and the release
/// is not stable.
pub(super) fn lost(
    moment: &Moment<'_>,
    launch: &LaunchId,
    healthy: u32,
    wanted: u32,
    bake_ms: u64,
) -> Decision {
    let launch = launch.clone();
    let deadline_ms = bake_ms + moment.deployment.strategy.health_deadline_ms();
    let ill = |instance: &&Instance| instance.state == InstanceState::Unhealthy;
    let by_chance = wanted - healthy == 1 && !moment.mine.iter().any(ill);
    let more_than_half = healthy < wanted.div_ceil(2);
    if (more_than_half && !by_chance) || moment.waited_ms() > deadline_ms {
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
    }
}
