//! `Refresh` and `EndRefresh`: AWS replaces the instances, and takes it back.
//!
//! What is seen of the refresh decides, never what was asked before: a launch belongs to one deployment,
//! so a refresh to that launch is this deployment's own. While somebody else's is under way, nothing is
//! started beside it.

use std::collections::BTreeSet;

use super::{Moment, bake, retire::RETIRE_DEADLINE_MS, survivors};
use crate::{
    deployment::Decision,
    effect::Effect,
    observation::{InstanceId, InstanceState, RefreshSeen, RefreshState},
    plan::{Refresh, Step, instance_refresh::Preferences},
    reason::{Failure, Waiting},
};

pub(super) fn decide(moment: &Moment<'_>, refresh: &Refresh) -> Decision {
    let Some(seen) = own(moment) else {
        return begin(moment, refresh);
    };
    match seen.state {
        RefreshState::Running => late(moment, refresh, seen)
            .or_else(|| hold_scale_in(moment).map(Decision::Apply))
            .unwrap_or_else(|| under_way(moment, refresh, seen)),
        RefreshState::Baking => watched(moment, refresh, seen),
        RefreshState::Succeeded => complete(moment, refresh, seen),
        RefreshState::RollingBack | RefreshState::Cancelling | RefreshState::Ended => {
            Decision::Fail(Failure::RefreshEnded {
                text: seen.text.clone(),
            })
        }
    }
}

/// No refresh of this deployment is seen: it is over and another came after it, or it is to be started.
fn begin(moment: &Moment<'_>, refresh: &Refresh) -> Decision {
    if is_replaced(moment, refresh) {
        return moment.reached(Decision::Next);
    }
    if let Some(foreign) = foreign(moment) {
        return Decision::Fail(Failure::Refused {
            message: format!(
                "the instance refresh {} of somebody else is under way",
                foreign.id
            ),
        });
    }
    let start = || Effect::StartRefresh {
        slice: moment.at,
        launch: moment.deployment.launch.clone(),
        preferences: refresh.preferences.clone(),
    };
    Decision::Apply(hold_scale_in(moment).unwrap_or_else(start))
}

/// Asks AWS to take its refresh back, and waits until nothing is under way in the slice; past the
/// deadline the refresh is cancelled.
pub(super) fn end(moment: &Moment<'_>) -> Decision {
    if let Some(foreign) = foreign(moment) {
        let id = foreign.id.clone();
        return Decision::Wait(Waiting::ForeignRefresh { id });
    }
    let Some(seen) = own(moment).filter(|seen| seen.state.is_active()) else {
        return moment.reached(Decision::Next);
    };
    let slice = moment.at;
    let within_ms = way_back_ms(moment);
    let deadline = moment.ends_at(within_ms);
    let wait = || {
        Decision::Wait(Waiting::Refreshing {
            text: seen.text.clone(),
            percent: seen.percent,
            deadline,
        })
    };
    match seen.state {
        RefreshState::Cancelling => wait(),
        _ if moment.waited_ms() >= within_ms => cancel(moment),
        RefreshState::RollingBack => hold_scale_in(moment).map_or_else(wait, Decision::Apply),
        _ => Decision::Apply(Effect::RollBackRefresh { slice }),
    }
}

/// A refresh may still change instances of the slice, this deployment's or somebody else's.
pub(super) fn is_under_way(moment: &Moment<'_>) -> bool {
    let seen = moment.slice.refresh.as_ref();
    seen.is_some_and(|seen| seen.state.is_active())
}

/// A refresh that is cancelled leaves what it added to the group's own scale-in, which takes anybody; so
/// the healthy ones are protected before. The others could not be: protection begins with service.
fn cancel(moment: &Moment<'_>) -> Decision {
    let slice = moment.at;
    let wanted = moment.deployment.wanted().map(|launch| &launch.id);
    let healthy = |id: &InstanceId| {
        let mut present = moment.slice.present();
        present.any(|it| it.id == *id && it.state == InstanceState::Healthy)
    };
    let stay = survivors::healthiest(moment.slice, wanted, moment.slice.sizes.desired);
    let stay: BTreeSet<InstanceId> = stay.into_iter().filter(healthy).collect();
    let protect = survivors::protect_exactly(slice, moment.slice, &stay);
    Decision::Apply(protect.unwrap_or(Effect::CancelRefresh { slice }))
}

/// A group that scales itself out starts instances of the new release, and scaling in it would stop
/// healthy old ones by its own rules. So Min follows Desired until AWS is done.
fn hold_scale_in(moment: &Moment<'_>) -> Option<Effect> {
    let now = moment.slice.sizes;
    let open = moment.autoscaled() && now.min < now.desired;
    open.then_some(Effect::SetBounds {
        slice: moment.at,
        min: now.desired,
        max: now.max,
    })
}

/// The refresh that this deployment started.
fn own<'a>(moment: &'a Moment<'_>) -> Option<&'a RefreshSeen> {
    let seen = moment.slice.refresh.as_ref();
    seen.filter(|seen| seen.launch == moment.deployment.launch.id)
}

/// A refresh that somebody else started and that is not over.
fn foreign<'a>(moment: &'a Moment<'_>) -> Option<&'a RefreshSeen> {
    let seen = moment.slice.refresh.as_ref();
    seen.filter(|seen| seen.launch != moment.deployment.launch.id && seen.state.is_active())
}

fn under_way(moment: &Moment<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    let late_ms = moment.waited_ms() - waited_ms(moment, seen);
    let time_ms = time_for(moment, refresh.count, &refresh.preferences);
    Decision::Wait(Waiting::Refreshing {
        text: seen.text.clone(),
        percent: seen.percent,
        deadline: moment.ends_at(late_ms + time_ms),
    })
}

/// Milliseconds since AWS began: not from when it was first asked, and by its own clock, as long as that
/// says less than ours.
fn waited_ms(moment: &Moment<'_>, seen: &RefreshSeen) -> u64 {
    let for_ms = moment.seen.at.since_ms(seen.started_at);
    moment.waited_ms().min(for_ms)
}

/// AWS waits an hour for an instance that does not get healthy; the group's own deadline is shorter.
fn late(moment: &Moment<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Option<Decision> {
    let patience_ms = moment.deployment.strategy.health_deadline_ms();
    let healthy = moment.healthy;
    let stuck = moment.mine.iter().any(|instance| {
        instance.state == InstanceState::Pending
            && moment.seen.at.since_ms(instance.started_at) > patience_ms
    });
    let waited_ms = waited_ms(moment, seen);
    let none = healthy == 0 && seen.percent == 0 && waited_ms > patience_ms;
    if stuck || none {
        let failed = Decision::Fail(Failure::Unhealthy {
            launch: refresh.launch.clone(),
            healthy,
            wanted: wanted(moment, refresh),
            within_ms: patience_ms,
            trouble: moment.slice.trouble.clone(),
        });
        return Some(moment.reached(failed));
    }
    too_late(moment, refresh, seen)
}

fn too_late(moment: &Moment<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Option<Decision> {
    let within_ms = time_for(moment, refresh.count, &refresh.preferences);
    let waited_ms = waited_ms(moment, seen);
    (waited_ms > within_ms).then(|| {
        Decision::Fail(Failure::RefreshLate {
            text: seen.text.clone(),
            within_ms,
        })
    })
}

/// Everything is replaced, and AWS looks at its alarms; whether instances stay healthy, we watch.
fn watched(moment: &Moment<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    let (healthy, wanted) = (moment.healthy, wanted(moment, refresh));
    if healthy < wanted {
        let bake_ms = time_for(moment, refresh.count, &refresh.preferences);
        return bake::lost(moment, &refresh.launch, healthy, wanted, bake_ms);
    }
    too_late(moment, refresh, seen).unwrap_or_else(|| under_way(moment, refresh, seen))
}

/// AWS says that it is done. What it says is believed once it is seen.
fn complete(moment: &Moment<'_>, refresh: &Refresh, seen: &RefreshSeen) -> Decision {
    if is_replaced(moment, refresh) {
        return moment.reached(Decision::Next);
    }
    too_late(moment, refresh, seen).unwrap_or_else(|| under_way(moment, refresh, seen))
}

/// New instances are of the launch, enough are healthy, and nobody else is there.
fn is_replaced(moment: &Moment<'_>, refresh: &Refresh) -> bool {
    let launches = moment.slice.launches.as_ref().map(|launch| &launch.id);
    moment.healthy >= wanted(moment, refresh)
        && moment.others.is_empty()
        && launches == Some(&refresh.launch)
}

/// How many must be healthy: all that there were, or fewer where the group scaled itself in.
fn wanted(moment: &Moment<'_>, refresh: &Refresh) -> u32 {
    if moment.autoscaled() {
        refresh.count.min(moment.slice.sizes.desired)
    } else {
        refresh.count
    }
}

/// The time that AWS has to replace all, in milliseconds: as much for each wave as our own steps would
/// have, and what it spends waiting on purpose.
fn time_for(moment: &Moment<'_>, count: u32, preferences: &Preferences) -> u64 {
    let drain_ms = u64::from(moment.deployment.target.group.drain_seconds) * 1000;
    let health_ms = moment.deployment.strategy.health_deadline_ms();
    let wave_ms = health_ms + drain_ms + RETIRE_DEADLINE_MS;
    u64::from(preferences.waves(count)) * wave_ms + preferences.watching_ms(count)
}

/// The time that AWS has to take it back: as much, without waiting at checkpoints.
fn way_back_ms(moment: &Moment<'_>) -> u64 {
    let steps = moment.deployment.plan.steps.iter();
    let times = steps.filter_map(|step| match step {
        Step::Refresh(refresh) => {
            let straight = Preferences {
                checkpoints: Vec::new(),
                ..refresh.preferences.clone()
            };
            Some(time_for(moment, refresh.count, &straight))
        }
        _ => None,
    });
    times.sum()
}
