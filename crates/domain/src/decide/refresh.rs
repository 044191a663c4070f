//! `Refresh` and `EndRefresh`: AWS replaces the instances, and takes it back.
//!
//! What is seen of the refresh decides, never what was asked before: a launch belongs to one deployment,
//! so a refresh to that launch is this deployment's own.

use super::{Decision, Failure, Look, Waiting, bake, retire::RETIRE_DEADLINE_MS, survivors};
use crate::{
    effect::Effect,
    observation::{InstanceState, RefreshSeen, RefreshState, Sizes},
    plan::{Step, instance_refresh::Preferences},
    release::LaunchId,
};

pub(super) struct Refresh<'a> {
    pub(super) launch: &'a LaunchId,
    pub(super) count: u32,
    pub(super) preferences: &'a Preferences,
}

pub(super) fn decide(look: &Look<'_>, refresh: &Refresh<'_>) -> Decision {
    let Some(seen) = own(look) else {
        if is_replaced(look, refresh) {
            // Somebody else's refresh came after it.
            return look.reached(Decision::Next);
        }
        let start = || Effect::StartRefresh {
            slice: look.at,
            launch: look.deployment.launch.clone(),
            preferences: refresh.preferences.clone(),
        };
        return Decision::Apply(hold_scale_in(look).unwrap_or_else(start));
    };
    match seen.state {
        RefreshState::Running => late(look, refresh)
            .or_else(|| hold_scale_in(look).map(Decision::Apply))
            .unwrap_or_else(|| under_way(look, refresh, seen)),
        RefreshState::Baking => watched(look, refresh, seen),
        RefreshState::Succeeded => complete(look, refresh, seen),
        RefreshState::Ending | RefreshState::Ended => Decision::Fail(Failure::RefreshEnded {
            text: seen.text.clone(),
        }),
    }
}

/// On the way back nothing else happens while AWS still replaces instances by the failed release.
/// `None`: it does not.
pub(super) fn still_under_way(look: &Look<'_>) -> Option<Decision> {
    let going_back = !look.going_forward() && look.deployment.strategy.is_refresh();
    let seen = own(look).filter(|seen| going_back && seen.state.is_active())?;
    let slice = look.at;
    let ending = seen.state == RefreshState::Ending;
    let deadline = look.deployment.progress.since.plus_ms(within_ms(look)?);
    Some(if look.now >= deadline {
        cancel(look)
    } else if let Some(hold) = hold_scale_in(look).filter(|_| ending) {
        Decision::Apply(hold)
    } else if ending {
        Decision::Wait(Waiting::Refreshing {
            text: seen.text.clone(),
            percent: seen.percent,
            deadline,
        })
    } else {
        Decision::Apply(Effect::RollBackRefresh { slice })
    })
}

/// A refresh that is cancelled leaves what it added to the group's own scale-in, which takes anybody; so
/// those that users need are protected before.
fn cancel(look: &Look<'_>) -> Decision {
    let slice = look.at;
    let wanted = look.deployment.wanted().map(|launch| &launch.id);
    let stay = survivors::healthiest(&look.slice, wanted, look.slice.sizes.desired);
    let protect = survivors::protect_exactly(slice, &look.slice, &stay);
    Decision::Apply(protect.unwrap_or(Effect::CancelRefresh { slice }))
}

/// A group that scales itself out starts instances of the new release, and scaling in it would stop
/// healthy old ones by its own rules. So Min follows Desired until AWS is done.
fn hold_scale_in(look: &Look<'_>) -> Option<Effect> {
    let now = look.slice.sizes;
    let open = look.autoscaled() && now.min < now.desired;
    open.then_some(Effect::SetSizes {
        slice: look.at,
        sizes: Sizes {
            min: now.desired,
            ..now
        },
    })
}

/// The refresh that this deployment started.
fn own<'a>(look: &'a Look<'_>) -> Option<&'a RefreshSeen> {
    let seen = look.slice.refresh.as_ref();
    seen.filter(|seen| seen.launch == look.deployment.launch.id)
}

fn under_way(look: &Look<'_>, refresh: &Refresh<'_>, seen: &RefreshSeen) -> Decision {
    Decision::Wait(Waiting::Refreshing {
        text: seen.text.clone(),
        percent: seen.percent,
        deadline: look.deployment.progress.since.plus_ms(time_for(
            look,
            refresh.count,
            refresh.preferences,
        )),
    })
}

/// AWS waits an hour for an instance that does not get healthy; the group's own deadline is shorter.
fn late(look: &Look<'_>, refresh: &Refresh<'_>) -> Option<Decision> {
    let patience_ms = look.deployment.strategy.health_deadline_ms();
    let within_ms = time_for(look, refresh.count, refresh.preferences);
    let healthy = look.slice.healthy_of(refresh.launch);
    let stuck = look.slice.present_of(refresh.launch).any(|instance| {
        instance.state == InstanceState::Pending
            && look.now.since_ms(instance.started_at) > patience_ms
    });
    let none = healthy == 0 && look.waited_ms() > patience_ms;
    (stuck || none || look.waited_ms() > within_ms).then(|| {
        unhealthy(
            look,
            refresh,
            if stuck || none {
                patience_ms
            } else {
                within_ms
            },
        )
    })
}

fn unhealthy(look: &Look<'_>, refresh: &Refresh<'_>, within_ms: u64) -> Decision {
    Decision::Fail(Failure::Unhealthy {
        launch: refresh.launch.clone(),
        healthy: look.slice.healthy_of(refresh.launch),
        wanted: wanted(look, refresh),
        within_ms,
    })
}

/// Everything is replaced, and AWS looks at its alarms; whether instances stay healthy, we look at.
fn watched(look: &Look<'_>, refresh: &Refresh<'_>, seen: &RefreshSeen) -> Decision {
    let (healthy, wanted) = (look.slice.healthy_of(refresh.launch), wanted(look, refresh));
    let bake_ms = time_for(look, refresh.count, refresh.preferences);
    if healthy < wanted {
        return bake::lost(look, refresh.launch, healthy, wanted, bake_ms);
    }
    under_way(look, refresh, seen)
}

/// AWS says that it is done. What it says is believed once it is seen.
fn complete(look: &Look<'_>, refresh: &Refresh<'_>, seen: &RefreshSeen) -> Decision {
    if is_replaced(look, refresh) {
        return look.reached(Decision::Next);
    }
    let within_ms = time_for(look, refresh.count, refresh.preferences);
    if look.waited_ms() > within_ms {
        return unhealthy(look, refresh, within_ms);
    }
    under_way(look, refresh, seen)
}

/// New instances are of the launch, enough are healthy, and nobody else is there.
fn is_replaced(look: &Look<'_>, refresh: &Refresh<'_>) -> bool {
    let healthy = look.slice.healthy_of(refresh.launch);
    let others = look.slice.present_others(refresh.launch).next().is_some();
    let launches = look.slice.launches.as_ref().map(|launch| &launch.id);
    healthy >= wanted(look, refresh) && !others && launches == Some(refresh.launch)
}

/// How many must be healthy: all that there were, or fewer where the group scaled itself in.
fn wanted(look: &Look<'_>, refresh: &Refresh<'_>) -> u32 {
    if look.autoscaled() {
        refresh.count.min(look.slice.sizes.desired)
    } else {
        refresh.count
    }
}

/// The time that AWS has to replace or to take back, in milliseconds: as much for each wave as a step of
/// ours would have, and what it spends waiting on purpose.
fn time_for(look: &Look<'_>, count: u32, preferences: &Preferences) -> u64 {
    let drain_ms = u64::from(look.deployment.target.group.drain_seconds) * 1000;
    let wave_ms = look.deployment.strategy.health_deadline_ms() + drain_ms;
    u64::from(preferences.waves(count)) * wave_ms
        + preferences.watching_ms(count)
        + RETIRE_DEADLINE_MS
}

/// The same for the way back.
fn within_ms(look: &Look<'_>) -> Option<u64> {
    let steps = &look.deployment.plan.steps;
    steps.iter().find_map(|step| match step {
        Step::Refresh {
            count, preferences, ..
        } => Some(time_for(look, *count, preferences)),
        _ => None,
    })
}
