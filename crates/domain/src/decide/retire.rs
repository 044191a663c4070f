//! `Retire`: a named release leaves, and exactly the right ones stay.
//!
//! The order is what makes it safe: count the healthy ones that stay; protect them and nobody else;
//! only then lower the sizes. Nothing is left for the provider's own rules to choose wrongly.

use std::collections::BTreeSet;

use super::{Moment, survivors, users};
use crate::{
    deployment::Decision,
    effect::Effect,
    observation::{InstanceId, InstanceState, Sizes, count},
    plan::Retire,
    reason::{Failure, Waiting},
    users::Weights,
};

/// Time that stopping may take beyond the drain, in milliseconds: a lifecycle hook or a slow
/// shutdown.
pub(super) const RETIRE_DEADLINE_MS: u64 = 600_000;

pub(super) fn decide(moment: &Moment<'_>, retire: &Retire) -> Decision {
    let listed = count(
        moment
            .slice
            .instances
            .iter()
            .filter(|i| i.launch == retire.launch),
    );
    let there = count(&moment.mine);
    if retire.only_if_any && listed == 0 {
        return moment.reached(Decision::Next);
    }
    let desired = leaving_now(moment, retire, there);
    if listed <= retire.keep && moment.slice.sizes.desired == desired {
        return moment.reached(Decision::Next);
    }
    if let Some(decision) = stands_in_for(moment, retire) {
        return decision;
    }
    let drain_ms = u64::from(moment.deployment.target.group.drain_seconds) * 1000;
    let within_ms = RETIRE_DEADLINE_MS + drain_ms;
    if moment.waited_ms() > within_ms && there > retire.keep && moment.going_forward() {
        let launch = retire.launch.clone();
        return Decision::Fail(Failure::NotRetired {
            launch,
            left: there,
            within_ms,
        });
    }
    match shrink(moment, retire, there, desired) {
        Some(decision) => decision,
        None => Decision::Wait(Waiting::Draining {
            launch: retire.launch.clone(),
            left: listed.saturating_sub(retire.keep),
        }),
    }
}

/// Where stable has a slice of its own, a slice goes only while it has no users and, going forward,
/// while the other one is whole. `None` when nothing stands against it.
fn stands_in_for(moment: &Moment<'_>, retire: &Retire) -> Option<Decision> {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    if !roles.are_apart() || moment.slice.sizes.desired == retire.leaving {
        return None;
    }
    if let Some(decision) = users::bring_back(moment) {
        return Some(decision);
    }
    if moment.seen.weights.share(moment.at) > 0 {
        let weights = Weights::all_on(moment.at.other());
        return Some(users::move_to(moment, weights.into()));
    }
    let launch = &deployment.launch.id;
    let wanted = deployment.capacity().asked;
    let next = moment.seen.slice(roles.next);
    let healthy = next.staying_of(launch);
    if moment.at != roles.live || !moment.going_forward() || healthy >= wanted {
        return None;
    }
    let launch = launch.clone();
    let within_ms = deployment.strategy.health_deadline_ms();
    Some(if moment.waited_ms() > within_ms {
        Decision::Fail(Failure::Unhealthy {
            launch,
            healthy,
            wanted,
            within_ms,
            trouble: next.trouble.clone(),
        })
    } else {
        Decision::Wait(Waiting::Recovering {
            launch,
            healthy,
            wanted,
            trouble: next.trouble.clone(),
        })
    })
}

/// How many instances stay. Where the group scales itself, Desired is lowered by what the plan added
/// (Min was held that much higher), and never to a remembered number; once it was lowered (Min tells),
/// it belongs to the group again. Instances that were lost meanwhile go by the same number: others were
/// started in their place.
fn leaving_now(moment: &Moment<'_>, retire: &Retire, there: u32) -> u32 {
    let Some(bounds) = moment
        .deployment
        .target
        .group
        .autoscaling
        .filter(|_| moment.going_forward() && retire.leaving > 0)
    else {
        return retire.leaving;
    };
    let now = moment.slice.sizes;
    let added = now.min.saturating_sub(retire.leaving);
    let goes = there.saturating_sub(retire.keep).max(added);
    let lowered = now.min == retire.leaving;
    let demand = if lowered {
        now.desired
    } else {
        now.desired.saturating_sub(goes)
    };
    demand.min(bounds.max).max(retire.leaving)
}

/// The next request on the way to the smaller group; `None` when all requests were made.
fn shrink(moment: &Moment<'_>, retire: &Retire, there: u32, desired: u32) -> Option<Decision> {
    let slice = moment.at;
    let stay = staying(moment, retire, desired);
    let healthy_stay = count(
        moment
            .slice
            .present()
            .filter(|i| stay.contains(&i.id) && i.state == InstanceState::Healthy),
    );
    let now = moment.slice.sizes;
    let somebody_goes = there > retire.keep || count(moment.slice.present()) > desired;
    let ill_already = ill_for_long(moment, &stay);
    if healthy_stay + ill_already < desired && somebody_goes {
        return Some(refill(moment, retire, there, healthy_stay));
    }
    if let Some(effect) = survivors::protect_exactly(slice, moment.slice, &stay) {
        return Some(Decision::Apply(effect));
    }
    let sizes = Sizes {
        min: retire.leaving,
        desired,
        // A slice that shall be empty must not scale itself out again; and a stale observation may show a Max
        // from before the group grew.
        max: if desired == 0 {
            0
        } else {
            now.max.max(desired)
        },
    };
    (sizes != now).then_some(Decision::Apply(Effect::SetSizes { slice, sizes }))
}

/// Those that stay: the healthy before all others, of the wanted launch before any other, and at most
/// `keep` of the retired one.
fn staying(moment: &Moment<'_>, retire: &Retire, desired: u32) -> BTreeSet<InstanceId> {
    let wanted = moment.deployment.wanted().map(|launch| &launch.id);
    let old = survivors::pick(moment.mine.iter().copied(), retire.keep);
    let mut stay = BTreeSet::new();
    for healthy in [true, false] {
        for is_wanted in [true, false] {
            let room = desired.saturating_sub(count(stay.iter()));
            let more = moment.slice.present().filter(|i| {
                (i.state == InstanceState::Healthy) == healthy
                    && (Some(&i.launch) == wanted) == is_wanted
                    && (i.launch != retire.launch || old.contains(&i.id))
            });
            stay.extend(survivors::pick(more, room));
        }
    }
    stay
}

/// How many of the retired release that stay for now may be ill: those that did not become healthy within
/// the health deadline of this step must not hold up the release that replaces them. Nobody of another
/// release goes meanwhile, and nobody healthy.
fn ill_for_long(moment: &Moment<'_>, stay: &BTreeSet<InstanceId>) -> u32 {
    let for_long = moment.waited_ms() > moment.deployment.strategy.health_deadline_ms();
    if for_long && moment.others.iter().all(|it| stay.contains(&it.id)) {
        let ill = moment
            .mine
            .iter()
            .filter(|it| it.state != InstanceState::Healthy);
        count(ill.filter(|it| stay.contains(&it.id)))
    } else {
        0
    }
}

/// Too few of those that stay are healthy: nobody goes, and what is missing is started.
fn refill(moment: &Moment<'_>, retire: &Retire, there: u32, healthy: u32) -> Decision {
    let now = moment.slice.sizes;
    let desired = (retire.leaving - retire.keep + there)
        .min(moment.deployment.ceiling())
        .max(now.desired);
    if desired > now.desired {
        let sizes = Sizes {
            min: desired,
            desired,
            max: now.max.max(desired),
        };
        return Decision::Apply(Effect::SetSizes {
            slice: moment.at,
            sizes,
        });
    }
    let launch = moment
        .deployment
        .wanted()
        .map_or(&retire.launch, |wanted| &wanted.id)
        .clone();
    let within_ms = moment.deployment.strategy.health_deadline_ms();
    let wanted = retire.leaving;
    if moment.waited_ms() > RETIRE_DEADLINE_MS + within_ms {
        return Decision::Fail(Failure::Unhealthy {
            launch,
            healthy,
            wanted,
            within_ms,
            trouble: moment.slice.trouble.clone(),
        });
    }
    Decision::Wait(Waiting::Recovering {
        launch,
        healthy,
        wanted,
        trouble: moment.slice.trouble.clone(),
    })
}
