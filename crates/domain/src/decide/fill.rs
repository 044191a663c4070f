//! `Fill`: so many healthy instances of a launch are in the slice.

use super::Moment;
use crate::{
    deployment::Decision,
    effect::Effect,
    observation::{Instance, InstanceId, InstanceState, Sizes, count},
    plan::Fill,
    reason::{Failure, Waiting},
    release::{Launch, LaunchId},
};

pub(super) fn decide(moment: &Moment<'_>, fill: &Fill) -> Decision {
    if is_untouched(moment, fill) {
        // Users go back to stable without another request before.
        return moment.reached(Decision::Next);
    }
    let ready = prepare(moment, &fill.launch)
        .or_else(|| stop_scale_in(moment, fill))
        .or_else(|| hold_live(moment));
    if let Some(effect) = ready {
        return Decision::Apply(effect);
    }
    let wanted = wanted(moment, fill);
    let healthy = moment.healthy;
    if healthy >= wanted {
        return moment.reached(Decision::Next);
    }
    if moment.waited_ms() > moment.deployment.strategy.health_deadline_ms() {
        return Decision::Fail(Failure::Unhealthy {
            launch: fill.launch.clone(),
            healthy,
            wanted,
            within_ms: moment.deployment.strategy.health_deadline_ms(),
            trouble: moment.slice.trouble.clone(),
        });
    }
    match make_room(moment, fill, wanted) {
        // Who is spare is seen after the last request had its effect, or others are taken twice.
        Some(effect @ Effect::Replace { .. }) => return moment.reached(Decision::Apply(effect)),
        Some(effect) => return Decision::Apply(effect),
        None => {}
    }
    Decision::Wait(Waiting::Healthy {
        launch: fill.launch.clone(),
        healthy,
        wanted,
        pending: count(moment.mine.iter().filter(is_starting)),
        deadline: moment.ends_at(moment.deployment.strategy.health_deadline_ms()),
        trouble: moment.slice.trouble.clone(),
    })
}

/// Stable runs as it always did: in a slice of its own, or with nobody else in the slice.
fn is_untouched(moment: &Moment<'_>, fill: &Fill) -> bool {
    let launches = moment.slice.launches.as_ref().map(|launch| &launch.id);
    let alone = launches == Some(&fill.launch) && moment.others.is_empty();
    let apart = moment.deployment.roles.are_apart();
    !moment.going_forward() && (apart || alone) && moment.healthy >= fill.count
}

/// New instances are of `launch`, and nothing moves instances between zones meanwhile.
fn prepare(moment: &Moment<'_>, launch: &LaunchId) -> Option<Effect> {
    let slice = moment.at;
    if moment.slice.launches.as_ref().map(|l| &l.id) != Some(launch) {
        let launch = known(moment, launch)?.clone();
        return Some(Effect::SetLaunch {
            slice,
            launch: Some(launch),
        });
    }
    (!moment.slice.rebalancing_suspended).then_some(Effect::SetRebalancing {
        slice,
        suspended: true,
    })
}

/// A group that scales itself must not scale in while it is doubled; scaling out it may.
fn stop_scale_in(moment: &Moment<'_>, fill: &Fill) -> Option<Effect> {
    let min = fill.count + fill.beside;
    let now = moment.slice.sizes;
    let open = moment.autoscaled() && moment.going_forward() && now.min < min;
    open.then_some(Effect::SetBounds {
        slice: moment.at,
        min,
        max: now.max.max(min),
    })
}

/// A live slice that scales itself must not follow its users out: all of them may come back at once.
fn hold_live(moment: &Moment<'_>) -> Option<Effect> {
    let roles = moment.deployment.roles;
    let now = moment.seen.slice(roles.live).sizes;
    let open = roles.are_apart() && moment.autoscaled() && moment.going_forward();
    (open && now.min < now.desired).then_some(Effect::SetBounds {
        slice: roles.live,
        min: now.desired,
        max: now.max,
    })
}

/// The launch with this id: a plan only names the new one and the stable one.
fn known<'a>(moment: &'a Moment<'_>, id: &LaunchId) -> Option<&'a Launch> {
    let deployment = moment.deployment;
    std::iter::once(&deployment.launch)
        .chain(&deployment.stable)
        .find(|launch| launch.id == *id)
}

/// How many must be healthy: the plan's count, and where the group scales itself, whatever the
/// demand has become meanwhile. Instances that a scale-out adds are of this launch and count.
fn wanted(moment: &Moment<'_>, fill: &Fill) -> u32 {
    let planned = fill.count + fill.beside + surplus(moment, fill);
    if moment.autoscaled() && moment.going_forward() {
        fill.count + moment.slice.sizes.desired.saturating_sub(planned)
    } else {
        fill.count
    }
}

/// Instances of other launches beyond the plan's: the group's own rebalancing, or its scaling just
/// before it launched the release, started them. They take places that the release needs; in a slice
/// of its own nobody else has a place.
fn surplus(moment: &Moment<'_>, fill: &Fill) -> u32 {
    if moment.deployment.roles.are_apart() {
        return 0;
    }
    count(&moment.others).saturating_sub(fill.beside)
}

/// It was not healthy yet, or is not any more.
fn is_starting(instance: &&&Instance) -> bool {
    instance.state != InstanceState::Healthy
}

/// The request that lets the missing instances start, if one is needed.
fn make_room(moment: &Moment<'_>, fill: &Fill, wanted: u32) -> Option<Effect> {
    let slice = moment.at;
    let now = moment.slice.sizes;
    let surplus = if moment.going_forward() {
        surplus(moment, fill)
    } else {
        0
    };
    let apart = moment.deployment.roles.are_apart();
    let needed = match (moment.going_forward(), apart) {
        (true, _) => fill.count + fill.beside + surplus,
        (false, false) => wanted + count(&moment.others),
        // Users may go back to half of stable; what is brought back is all of it.
        (false, true) => wanted.max(moment.before().sizes.desired) + count(&moment.others),
    };
    let ceiling = moment.deployment.ceiling() + surplus;
    // What is seen may be from before the last request, which may have been for more.
    let asked = moment.deployment.asked_sizes.get(&slice);
    let least = asked.map_or(now.desired, |asked| now.desired.max(*asked));
    let desired = needed.min(ceiling).max(least);
    let sizes = Sizes {
        min: desired,
        desired,
        max: now.max.max(desired),
    };
    if sizes != now && (desired > now.desired || now.min < desired) {
        let Sizes { min, max, .. } = sizes;
        return Some(match moment.autoscaled() {
            true => Effect::SetBounds { slice, min, max },
            false => Effect::SetSizes { slice, sizes },
        });
    }
    let short = needed > desired && !moment.going_forward();
    let taken = apart && moment.going_forward();
    let full = count(moment.slice.present()) >= desired;
    (full && (short || taken))
        .then(|| replaceable(moment))
        .flatten()
        .map(|instance| Effect::Replace { slice, instance })
}

/// An instance of another launch that can give its place to one that is wanted: one that serves
/// nobody, or a healthy one as long as more than enough are healthy.
fn replaceable(moment: &Moment<'_>) -> Option<InstanceId> {
    let apart = moment.deployment.roles.are_apart();
    let spare = if apart && moment.going_forward() {
        moment.seen.weights.share(moment.at) == 0
    } else {
        moment.slice.healthy() > moment.before().sizes.desired
    };
    let others = || moment.others.iter();
    others()
        .find(|instance| instance.state != InstanceState::Healthy)
        .or_else(|| others().find(|_| spare))
        .map(|instance| instance.id.clone())
}
