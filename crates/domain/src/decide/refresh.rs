//! `Refresh` and `EndRefresh`: AWS replaces the instances, and takes it back.
//!
//! What is seen of the refresh decides, never what was asked before: a launch belongs to one deployment,
//! so a refresh to that launch is this deployment's own. While somebody else's is under way, nothing is
//! started beside it.

use std::collections::BTreeSet;

use super::{Decision, Failure, Look, Waiting, bake, retire::RETIRE_DEADLINE_MS, survivors};
use crate::{
    effect::Effect,
    observation::{InstanceId, InstanceState, RefreshSeen, RefreshState},
    plan::{Refresh, Step, instance_refresh::Preferences},
};

pub(super) fn decide(look: &Look<'_>, refresh: &Refresh) -> Decision {
    let Some(seen) = own(look) else {
        return begin(look, refresh);
    };
    match seen.state {
        RefreshState::Running => late(look, refresh, seen)
            .or_else(|| hold_scale_in(look).map(Decision::Apply))
            .unwrap_or_else(|| under_way(look, refresh, seen)),
        RefreshState::Baking => watched(look, refresh, seen),
        RefreshState::Succeeded => complete(look, refresh, seen),
        RefreshState::RollingBack | RefreshState::Cancelling | RefreshState::Ended => {
            Decision::Fail(Failure::RefreshEnded {
                text: seen.text.clone(),
            })
        }
    }
}

/// No refresh of this deployment is seen: it is over and another came after it, or it is to be started.
fn begin(look: &Look<'_>, refresh: &Refresh) -> Decision {
    if is_replaced(look, refresh) {
        return look.reached(Decision::Next);
    }
    if let Some(foreign) = foreign(look) {
        return Decision::Fail(Failure::Refused {
            message: format!(
                "the instance refresh {} of somebody else is under way",
                foreign.id
            ),
        });
    }
    let start = || Effect::StartRefresh {
        slice: look.at,
        launch: look.deployment.launch.clone(),
        preferences: refresh.preferences.clone(),
    };
    Decision::Apply(hold_scale_in(look).unwrap_or_else(start))
}

/// Asks AWS to take its refresh back, and waits until nothing is under way in the slice; past the
/// deadline the refresh is cancelled.
pub(super) fn end(look: &Look<'_>) -> Decision {
    if let Some(foreign) = foreign(look) {
        let id = foreign.id.clone();
        return Decision::Wait(Waiting::ForeignRefresh { id });
    }
    let Some(seen) = own(look).filter(|seen| seen.state.is_active()) else {
        return look.reached(Decision::Next);
    };
    let slice = look.at;
    let deadline = look.deployment.progress.since.plus_ms(way_back_ms(look));
    let wait = || {
        Decision::Wait(Waiting::Refreshing {
            text: seen.text.clone(),
            percent: seen.percent,
            deadline,
        })
    };
    match seen.state {
        RefreshState::Cancelling => wait(),
        _ if look.now >= deadline => cancel(look),
        RefreshState::RollingBack => hold_scale_in(look).map_or_else(wait, Decision::Apply),
        _ => Decision::Apply(Effect::RollBackRefresh { slice }),
    }
}

/// A refresh may still change instances of the slice, this deployment's or somebody else's.
pub(super) fn is_under_way(look: &Look<'_>) -> bool {
    let seen = look.slice.refresh.as_ref();
    seen.is_some_and(|seen| seen.state.is_active())
}

/// A refresh that is cancelled leaves what it added to the group's own scale-in, which takes anybody; so
/// the healthy ones are protected before. The others could not be: protection begins with service.
fn cancel(look: &Look<'_>) -> Decision {
    let slice = look.at;
    let wanted = look.deployment.wanted().map(|launch| &launch.id);
    let healthy = |id: &InstanceId| {
        let mut present = look.slice.present();
        present.any(|it| it.id == *id && it.state == InstanceState::Healthy)
    };
    let stay = survivors::healthiest(look.slice, wanted, look.slice.sizes.desired);
    let stay: BTreeSet<InstanceId> = stay.into_iter().filter(healthy).collect();
    let protect = survivors::protect_exactly(slice, look.slice, &stay);
    Decision::Apply(protect.unwrap_or(Effect::CancelRefresh { slice }))
}

/// A group that scales itself out starts instances of the new release, and scaling in it would stop
/// healthy old ones by its own rules. So Min follows Desired until AWS is done.
fn hold_scale_in(look: &Look<'_>) -> Option<Effect> {
    let now = look.slice.sizes;
    let open = look.autoscaled() && now.min < now.desired;
    open.then_some(Effect::SetMin {
        slice: look.at,
        min: now.desired,
    })
}

/// The refresh that this deployment started.
fn own<'a>(look: &'a Look<'_>) -> Option<&'a RefreshSeen> {
    let seen = look.slice.refresh.as_ref();
    seen.filter(|seen| seen.launch == look.deployment.launch.id)
}

/// A refresh that somebody else started and that is not over.
fn foreign<'a>(look: &'a Look<'_>) -> Option<&'a RefreshSeen> {
    let seen = look.slice.refresh.as_ref();
    seen.filter(|seen| seen.launch != look.deployment.launch.id && seen.state.is_active())
}

fn under_way(look: &Look<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    let began = began(look, seen);
    Decision::Wait(Waiting::Refreshing {
        text: seen.text.clone(),
        percent: seen.percent,
        deadline: began.plus_ms(time_for(look, refresh.count, &refresh.preferences)),
    })
}

/// Time counts from when AWS began, not from when it was first asked.
fn began(look: &Look<'_>, seen: &RefreshSeen) -> crate::time::UnixMs {
    look.deployment.progress.since.max(seen.started_at)
}

/// AWS waits an hour for an instance that does not get healthy; the group's own deadline is shorter.
fn late(look: &Look<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Option<Decision> {
    let patience_ms = look.deployment.strategy.health_deadline_ms();
    let healthy = look.healthy;
    let stuck = look.mine.iter().any(|instance| {
        instance.state == InstanceState::Pending
            && look.now.since_ms(instance.started_at) > patience_ms
    });
    let waited_ms = look.now.since_ms(began(look, seen));
    let none = healthy == 0 && seen.percent == 0 && waited_ms > patience_ms;
    if stuck || none {
        let failed = Decision::Fail(Failure::Unhealthy {
            launch: refresh.launch.clone(),
            healthy,
            wanted: wanted(look, refresh),
            within_ms: patience_ms,
            trouble: look.slice.trouble.clone(),
        });
        return Some(look.reached(failed));
    }
    too_late(look, refresh, seen)
}

fn too_late(look: &Look<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Option<Decision> {
    let within_ms = time_for(look, refresh.count, &refresh.preferences);
    let waited_ms = look.now.since_ms(began(look, seen));
    (waited_ms > within_ms).then(|| {
        Decision::Fail(Failure::RefreshLate {
            text: seen.text.clone(),
            within_ms,
        })
    })
}

/// Everything is replaced, and AWS looks at its alarms; whether instances stay healthy, we look at.
fn watched(look: &Look<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    let (healthy, wanted) = (look.healthy, wanted(look, refresh));
    if healthy < wanted {
        let bake_ms = time_for(look, refresh.count, &refresh.preferences);
        return bake::lost(look, &refresh.launch, healthy, wanted, bake_ms);
    }
    too_late(look, refresh, seen).unwrap_or_else(|| under_way(look, refresh, seen))
}

/// AWS says that it is done. What it says is believed once it is seen.
fn complete(look: &Look<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    if is_replaced(look, refresh) {
        return look.reached(Decision::Next);
    }
    too_late(look, refresh, seen).unwrap_or_else(|| under_way(look, refresh, seen))
}

/// New instances are of the launch, enough are healthy, and nobody else is there.
fn is_replaced(look: &Look<'_>, refresh: &Refresh) -> bool {
    let launches = look.slice.launches.as_ref().map(|launch| &launch.id);
    look.healthy >= wanted(look, refresh)
        && look.others.is_empty()
        && launches == Some(&refresh.launch)
}

/// How many must be healthy: all that there were, or fewer where the group scaled itself in.
fn wanted(look: &Look<'_>, refresh: &Refresh) -> u32 {
    if look.autoscaled() {
        refresh.count.min(look.slice.sizes.desired)
    } else {
        refresh.count
    }
}

/// The time that AWS has to replace all, in milliseconds: as much for each wave as our own steps would
/// have, and what it spends waiting on purpose.
fn time_for(look: &Look<'_>, count: u32, preferences: &Preferences) -> u64 {
    let drain_ms = u64::from(look.deployment.target.group.drain_seconds) * 1000;
    let health_ms = look.deployment.strategy.health_deadline_ms();
    let wave_ms = health_ms + drain_ms + RETIRE_DEADLINE_MS;
    u64::from(preferences.waves(count)) * wave_ms + preferences.watching_ms(count)
}

/// The time that AWS has to take it back: as much, without waiting at checkpoints.
fn way_back_ms(look: &Look<'_>) -> u64 {
    let steps = look.deployment.plan.steps.iter();
    let times = steps.filter_map(|step| match step {
        Step::Refresh(refresh) => {
            let straight = Preferences {
                checkpoints: Vec::new(),
                ..refresh.preferences.clone()
            };
            Some(time_for(look, refresh.count, &straight))
        }
        _ => None,
    });
    times.sum()
}
