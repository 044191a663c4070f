//! `Fill`: so many healthy instances of a launch are in the slice.

use super::{Decision, Failure, Look, Waiting};
use crate::{
    effect::Effect,
    observation::{InstanceId, InstanceState, Sizes, count},
    plan::Fill,
    release::{Launch, LaunchId},
};

pub(super) fn decide(look: &Look<'_>, fill: &Fill) -> Decision {
    if is_untouched(look, fill) {
        // Users go back to stable without another request before.
        return look.reached(Decision::Next);
    }
    let ready = prepare(look, &fill.launch)
        .or_else(|| stop_scale_in(look, fill))
        .or_else(|| hold_live(look));
    if let Some(effect) = ready {
        return Decision::Apply(effect);
    }
    let wanted = wanted(look, fill);
    let healthy = look.healthy;
    if healthy >= wanted {
        return look.reached(Decision::Next);
    }
    if look.waited_ms() > look.deployment.strategy.health_deadline_ms() {
        return Decision::Fail(Failure::Unhealthy {
            launch: fill.launch.clone(),
            healthy,
            wanted,
            within_ms: look.deployment.strategy.health_deadline_ms(),
            trouble: look.slice.trouble.clone(),
        });
    }
    if let Some(effect) = make_room(look, fill, wanted) {
        return Decision::Apply(effect);
    }
    Decision::Wait(Waiting::Healthy {
        launch: fill.launch.clone(),
        healthy,
        wanted,
        pending: count(&look.mine) - healthy,
        deadline: look
            .deployment
            .progress
            .since
            .plus_ms(look.deployment.strategy.health_deadline_ms()),
        trouble: look.slice.trouble.clone(),
    })
}

/// Stable runs as it always did: in a slice of its own, or with nobody else in the slice.
fn is_untouched(look: &Look<'_>, fill: &Fill) -> bool {
    let launches = look.slice.launches.as_ref().map(|launch| &launch.id);
    let alone = launches == Some(&fill.launch) && look.others.is_empty();
    let apart = look.deployment.roles.are_apart();
    !look.going_forward() && (apart || alone) && look.healthy >= fill.count
}

/// New instances are of `launch`, and nothing moves instances between zones meanwhile.
fn prepare(look: &Look<'_>, launch: &LaunchId) -> Option<Effect> {
    let slice = look.at;
    if look.slice.launches.as_ref().map(|l| &l.id) != Some(launch) {
        let launch = known(look, launch)?.clone();
        return Some(Effect::SetLaunch {
            slice,
            launch: Some(launch),
        });
    }
    (!look.slice.rebalancing_suspended).then_some(Effect::SetRebalancing {
        slice,
        suspended: true,
    })
}

/// A group that scales itself must not scale in while it is doubled; scaling out it may.
fn stop_scale_in(look: &Look<'_>, fill: &Fill) -> Option<Effect> {
    let min = fill.count + fill.beside;
    let now = look.slice.sizes;
    let open = look.autoscaled() && look.going_forward() && now.min < min;
    let desired = now.desired.max(min);
    let sizes = Sizes {
        min,
        desired,
        max: now.max.max(desired),
    };
    open.then_some(Effect::SetSizes {
        slice: look.at,
        sizes,
    })
}

/// A live slice that scales itself must not follow its users out: all of them may come back at once.
fn hold_live(look: &Look<'_>) -> Option<Effect> {
    let roles = look.deployment.roles;
    let now = look.seen.slice(roles.live).sizes;
    let open = roles.are_apart() && look.autoscaled() && look.going_forward();
    (open && now.min < now.desired).then_some(Effect::SetSizes {
        slice: roles.live,
        sizes: Sizes {
            min: now.desired,
            ..now
        },
    })
}

/// The launch with this id: a plan only names the new one and the stable one.
fn known<'a>(look: &'a Look<'_>, id: &LaunchId) -> Option<&'a Launch> {
    let deployment = look.deployment;
    std::iter::once(&deployment.launch)
        .chain(&deployment.stable)
        .find(|launch| launch.id == *id)
}

/// How many must be healthy: the plan's count, and where the group scales itself, whatever the
/// demand has become meanwhile. Instances that a scale-out adds are of this launch and count.
fn wanted(look: &Look<'_>, fill: &Fill) -> u32 {
    let planned = fill.count + fill.beside + surplus(look, fill);
    if look.autoscaled() && look.going_forward() {
        fill.count + look.slice.sizes.desired.saturating_sub(planned)
    } else {
        fill.count
    }
}

/// Instances of other launches beyond the plan's: the group's own rebalancing, or its scaling just
/// before it launched the release, started them. They take places that the release needs.
fn surplus(look: &Look<'_>, fill: &Fill) -> u32 {
    count(&look.others).saturating_sub(fill.beside)
}

/// The request that lets the missing instances start, if one is needed.
fn make_room(look: &Look<'_>, fill: &Fill, wanted: u32) -> Option<Effect> {
    let slice = look.at;
    let now = look.slice.sizes;
    let surplus = if look.going_forward() {
        surplus(look, fill)
    } else {
        0
    };
    let needed = if look.going_forward() {
        fill.count + fill.beside + surplus
    } else {
        wanted + count(&look.others)
    };
    let ceiling = look.deployment.ceiling() + surplus;
    let desired = needed.min(ceiling).max(now.desired);
    let sizes = Sizes {
        min: desired,
        desired,
        max: now.max.max(desired),
    };
    if sizes != now && (desired > now.desired || now.min < desired) {
        return Some(Effect::SetSizes { slice, sizes });
    }
    let full = needed > desired && count(look.slice.present()) >= desired;
    (full && !look.going_forward())
        .then(|| replaceable(look))
        .flatten()
        .map(|instance| Effect::Replace { slice, instance })
}

/// An instance of another launch that can give its place to a stable one: one that serves nobody,
/// or a healthy one as long as more than enough are healthy.
fn replaceable(look: &Look<'_>) -> Option<InstanceId> {
    let spare = look.slice.healthy() > look.before().sizes.desired;
    let others = || look.others.iter();
    others()
        .find(|instance| instance.state != InstanceState::Healthy)
        .or_else(|| others().find(|_| spare))
        .map(|instance| instance.id.clone())
}
