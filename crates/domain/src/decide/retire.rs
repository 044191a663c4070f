//! `Retire`: a named release leaves, and exactly the right ones stay.
//!
//! The order is what makes it safe: count the healthy ones that stay; protect them and nobody else;
//! only then lower the sizes. Nothing is left for the provider's own rules to choose wrongly.

use std::collections::BTreeSet;

use super::{Decision, Failure, Look, Waiting, survivors, users};
use crate::{
    effect::Effect,
    observation::{InstanceId, InstanceState, Sizes, count},
    plan::Retire,
    users::Weights,
};

/// Time that stopping may take beyond the drain, in milliseconds: a lifecycle hook or a slow
/// shutdown.
pub(super) const RETIRE_DEADLINE_MS: u64 = 600_000;

pub(super) fn decide(look: &Look<'_>, retire: &Retire) -> Decision {
    let listed = count(
        look.slice
            .instances
            .iter()
            .filter(|i| i.launch == retire.launch),
    );
    let there = count(&look.mine);
    if retire.only_if_any && listed == 0 {
        return look.reached(Decision::Next);
    }
    let desired = leaving_now(look, retire, there);
    if listed <= retire.keep && look.slice.sizes.desired == desired {
        return look.reached(Decision::Next);
    }
    if let Some(decision) = stands_in_for(look, retire) {
        return decision;
    }
    let drain_ms = u64::from(look.deployment.target.group.drain_seconds) * 1000;
    let within_ms = RETIRE_DEADLINE_MS + drain_ms;
    if look.waited_ms() > within_ms && there > retire.keep && look.going_forward() {
        let launch = retire.launch.clone();
        return Decision::Fail(Failure::NotRetired {
            launch,
            left: there,
            within_ms,
        });
    }
    match shrink(look, retire, there, desired) {
        Some(decision) => decision,
        None => Decision::Wait(Waiting::Draining {
            launch: retire.launch.clone(),
            left: listed.saturating_sub(retire.keep),
        }),
    }
}

/// Where stable has a slice of its own, a slice goes only while it has no users and, going forward,
/// while the other one is whole. `None` when nothing stands against it.
fn stands_in_for(look: &Look<'_>, retire: &Retire) -> Option<Decision> {
    let deployment = look.deployment;
    let roles = deployment.roles;
    if !roles.are_apart() || look.slice.sizes.desired == retire.leaving {
        return None;
    }
    if let Some(decision) = users::bring_back(look) {
        return Some(decision);
    }
    if look.seen.weights.share(look.at) > 0 {
        let weights = Weights::all_on(look.at.other());
        return Some(users::move_to(look, weights.into()));
    }
    let launch = &deployment.launch.id;
    let wanted = deployment.capacity().asked;
    let next = look.seen.slice(roles.next);
    let healthy = next.healthy_of(launch);
    if look.at != roles.live || !look.going_forward() || healthy >= wanted {
        return None;
    }
    let launch = launch.clone();
    let within_ms = deployment.strategy.health_deadline_ms();
    Some(if look.waited_ms() > within_ms {
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
fn leaving_now(look: &Look<'_>, retire: &Retire, there: u32) -> u32 {
    let Some(bounds) = look
        .deployment
        .target
        .group
        .autoscaling
        .filter(|_| look.going_forward() && retire.leaving > 0)
    else {
        return retire.leaving;
    };
    let now = look.slice.sizes;
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
fn shrink(look: &Look<'_>, retire: &Retire, there: u32, desired: u32) -> Option<Decision> {
    let slice = look.at;
    let stay = staying(look, retire, desired);
    let healthy_stay = count(
        look.slice
            .present()
            .filter(|i| stay.contains(&i.id) && i.state == InstanceState::Healthy),
    );
    let now = look.slice.sizes;
    let somebody_goes = there > retire.keep || count(look.slice.present()) > desired;
    if healthy_stay < desired && somebody_goes {
        return Some(refill(look, retire, there, healthy_stay));
    }
    if let Some(effect) = survivors::protect_exactly(slice, look.slice, &stay) {
        return Some(Decision::Apply(effect));
    }
    let sizes = Sizes {
        min: retire.leaving,
        desired,
        // A slice that shall be empty must not scale itself out again; and a stale look may show a Max
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
fn staying(look: &Look<'_>, retire: &Retire, desired: u32) -> BTreeSet<InstanceId> {
    let wanted = look.deployment.wanted().map(|launch| &launch.id);
    let old = survivors::pick(look.mine.iter().copied(), retire.keep);
    let mut stay = BTreeSet::new();
    for healthy in [true, false] {
        for is_wanted in [true, false] {
            let room = desired.saturating_sub(count(stay.iter()));
            let more = look.slice.present().filter(|i| {
                (i.state == InstanceState::Healthy) == healthy
                    && (Some(&i.launch) == wanted) == is_wanted
                    && (i.launch != retire.launch || old.contains(&i.id))
            });
            stay.extend(survivors::pick(more, room));
        }
    }
    stay
}

/// Too few of those that stay are healthy: nobody goes, and what is missing is started.
fn refill(look: &Look<'_>, retire: &Retire, there: u32, healthy: u32) -> Decision {
    let now = look.slice.sizes;
    let desired = (retire.leaving - retire.keep + there)
        .min(look.deployment.ceiling())
        .max(now.desired);
    if desired > now.desired {
        let sizes = Sizes {
            min: desired,
            desired,
            max: now.max.max(desired),
        };
        return Decision::Apply(Effect::SetSizes {
            slice: look.at,
            sizes,
        });
    }
    let launch = look
        .deployment
        .wanted()
        .map_or(&retire.launch, |wanted| &wanted.id)
        .clone();
    let within_ms = look.deployment.strategy.health_deadline_ms();
    let wanted = retire.leaving;
    if look.waited_ms() > RETIRE_DEADLINE_MS + within_ms {
        return Decision::Fail(Failure::Unhealthy {
            launch,
            healthy,
            wanted,
            within_ms,
            trouble: look.slice.trouble.clone(),
        });
    }
    Decision::Wait(Waiting::Recovering {
        launch,
        healthy,
        wanted,
        trouble: look.slice.trouble.clone(),
    })
}
