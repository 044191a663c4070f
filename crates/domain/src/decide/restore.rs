//! The end of every deployment: the baseline plus exactly the intended change, proved field by field.

use std::collections::BTreeSet;

use super::{Moment, retire, survivors, users};
use crate::{
    catalogue::Bounds,
    deployment::{Certificate, CertificateLine, Course, Decision},
    effect::Effect,
    observation::{InstanceId, Sizes, count},
    plan::{Retire, SliceBaseline, Step, Strategy},
    reason::{Failure, Waiting},
    release::Launch,
    slice::Slice,
    users::Weights,
};

/// What is meant to be there in one slice in the end.
struct Intended {
    launch: Option<Launch>,
    sizes: Sizes,
    protected: BTreeSet<InstanceId>,
    rebalancing_suspended: bool,
}

pub(super) fn decide(moment: &Moment<'_>) -> Decision {
    if let Some(unserved) = unserved(moment) {
        return unserved;
    }
    let weights = weights(moment);
    let moves = !moment.seen.weights.same(&weights);
    if !moves && moment.seen.mirror.is_some() && asked_for_users_lately(moment) {
        // An observation from before would have them moved to where they were.
        return Decision::Wait(Waiting::Weights);
    }
    if moves || moment.seen.mirror.is_some() {
        return Decision::Apply(Effect::SetTraffic {
            weights,
            mirror: None,
        });
    }
    if let Some(straggler) = straggler(moment) {
        return straggler;
    }
    let slices: Vec<(Moment<'_>, Intended)> = touched(moment)
        .map(|slice| moment.on(slice, &moment.deployment.launch.id))
        .map(|moment| {
            let intended = intended(&moment);
            (moment, intended)
        })
        .collect();
    for (moment, intended) in &slices {
        if let Some(decision) = next_change(moment, intended) {
            return decision;
        }
    }
    moment.reached(Decision::Finish(certificate(moment, &weights, &slices)))
}

/// Users were asked to be moved, so lately that an observation may not show it yet, or routers may not
/// have followed yet.
fn asked_for_users_lately(moment: &Moment<'_>) -> bool {
    let (deployment, seen) = (moment.deployment, moment.seen);
    let asked = deployment.progress.asked_traffic.as_ref();
    let follow = asked.is_some_and(|split| !seen.weights.same(&split.weights));
    if follow && moment.waited_ms() <= users::SHIFT_DEADLINE_MS {
        return true;
    }
    let patience_ms = seen.stale_ms_max.max(seen.weights_stale_ms_max);
    matches!(
        &deployment.last_effect,
        Some((Effect::SetTraffic { .. }, at)) if moment.now.since_ms(*at) <= patience_ms
    )
}

/// The slices that the deployment may have changed. A switch changes none on its way forward.
fn touched<'a>(moment: &Moment<'a>) -> impl Iterator<Item = Slice> + use<'a> {
    let none = moment.deployment.strategy == Strategy::Switch && moment.going_forward();
    moment
        .baseline
        .slices
        .keys()
        .copied()
        .filter(move |_| !none)
}

/// Instances of the release that was retired show up again only where a provider showed an old
/// state before, or where a slice scaled itself in the very moment; they are retired again.
fn straggler(moment: &Moment<'_>) -> Option<Decision> {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    let apart = roles.are_apart();
    let retires = |slice: Slice, steps: &[Step]| {
        steps.iter().any(|step| match step {
            Step::Retire(retire) => retire.slice == slice,
            Step::Refresh(refresh) => refresh.slice == slice,
            _ => false,
        })
    };
    let (slice, retired) = match deployment.progress.course {
        Course::Forward if retires(roles.live, &deployment.plan.steps) => {
            (roles.live, deployment.stable.as_ref()?)
        }
        Course::RollingBack if apart && retires(roles.next, &deployment.progress.steps) => {
            (roles.next, &deployment.launch)
        }
        Course::Forward | Course::RollingBack => return None,
    };
    let lost = matches!(deployment.failure, Some(Failure::StableLost { .. }));
    let moment = moment.on(slice, &retired.id);
    if lost || moment.mine.is_empty() {
        return None;
    }
    let leaving = if apart {
        0
    } else {
        deployment.capacity().asked
    };
    Some(retire::decide(
        &moment,
        &Retire {
            slice,
            launch: retired.id.clone(),
            keep: 0,
            leaving,
            only_if_any: false,
        },
    ))
}

fn intended(moment: &Moment<'_>) -> Intended {
    let before = moment.before();
    let still_there = |id: &&InstanceId| moment.slice.present().any(|i| i.id == **id);
    let new_here = moment.at == moment.deployment.roles.next && gets_new(moment);
    Intended {
        launch: if new_here {
            Some(moment.deployment.launch.clone())
        } else {
            before.launch.clone()
        },
        sizes: sizes(moment, &before, new_here),
        protected: before
            .protected
            .iter()
            .filter(still_there)
            .cloned()
            .collect(),
        rebalancing_suspended: before.rebalancing_suspended,
    }
}

/// The new release stays: going forward, and where the way back found stable dead and users stay.
fn gets_new(moment: &Moment<'_>) -> bool {
    moment.going_forward() || stranded(moment)
}

/// The way back failed, nothing of stable's slice is healthy, and users are on the new one or could
/// be: they stay where somebody answers them, or may soon. Whether somebody does in this very moment
/// plays no part once users are there or were sent there, so that an instance that comes and goes does
/// not undo it. Nor does an instance that turns healthy while the new slice is being emptied.
fn stranded(moment: &Moment<'_>) -> bool {
    let deployment = moment.deployment;
    let roles = deployment.roles;
    let lost = matches!(deployment.failure, Some(Failure::StableLost { .. }));
    let seen_there = moment.seen.weights.share(roles.next) > 0;
    let asked = deployment.progress.asked_traffic.as_ref();
    let sent_there = || asked.is_some_and(|split| split.weights.share(roles.next) > 0);
    let emptied = || deployment.asked_sizes.get(&roles.next) == Some(&0);
    let next_serves =
        || seen_there || sent_there() || (users::serves(moment, roles.next) && !emptied());
    lost && roles.are_apart() && moment.seen.slice(roles.live).healthy() == 0 && next_serves()
}

/// The sizes that stay. A group that scales itself keeps its live desired count.
fn sizes(moment: &Moment<'_>, before: &SliceBaseline, new_here: bool) -> Sizes {
    let deployment = moment.deployment;
    let apart = deployment.roles.are_apart();
    let keeps = deployment
        .strategy
        .two_slices()
        .is_some_and(|options| options.keep_old);
    if apart && moment.at == deployment.roles.live && moment.going_forward() && !keeps {
        return Sizes::default();
    }
    let live = moment.slice.sizes.desired;
    // The new release takes over the shape of the slice that stable had.
    let shape = moment.baseline.live_sizes();
    match deployment.target.group.autoscaling {
        Some(Bounds { min, max }) if new_here => Sizes {
            min,
            desired: live.clamp(min, max),
            max,
        },
        Some(_) if before.sizes.max > 0 => Sizes {
            desired: live.clamp(before.sizes.min, before.sizes.max),
            ..before.sizes
        },
        _ if new_here => resized(shape, deployment.capacity().asked),
        _ => before.sizes,
    }
}

/// Sizes for `asked` instances that keep the shape of `before`: a bound that was equal to the
/// desired count stays equal to it, others move only if they must.
fn resized(before: Sizes, asked: u32) -> Sizes {
    let min = if before.min == before.desired {
        asked
    } else {
        before.min.min(asked)
    };
    let max = if before.max == before.desired {
        asked
    } else {
        before.max.max(asked)
    };
    Sizes {
        min,
        desired: asked,
        max,
    }
}

/// How users shall be split in the end: as the last shift of this course says.
fn weights(moment: &Moment<'_>) -> Weights {
    let roles = moment.deployment.roles;
    let all_on_next = Weights::all_on(roles.next);
    if stranded(moment) && users::are_served_by(moment, &all_on_next) {
        return all_on_next;
    }
    let intended = shifted(moment);
    if users::are_served_by(moment, &intended) {
        intended
    } else {
        moment.seen.weights.clone()
    }
}

/// As the last shift of this course says; without one, as it was before.
fn shifted(moment: &Moment<'_>) -> Weights {
    let steps = &moment.deployment.progress.steps;
    let shifted = steps.iter().rev().find_map(|step| match step {
        Step::Shift(split) => Some(split.weights.clone()),
        _ => None,
    });
    shifted.unwrap_or_else(|| moment.baseline.weights.clone())
}

/// Somebody moved users away from where they belong, and nobody answers there at the moment: to end now
/// would leave them where they strayed to. They are moved once somebody answers. A release that answers
/// nobody for too long goes back; the way back then ends with users where they are.
fn unserved(moment: &Moment<'_>) -> Option<Decision> {
    let intended = shifted(moment);
    let strayed = moment.deployment.roles.are_apart() && !moment.seen.weights.same(&intended);
    if !strayed || stranded(moment) || users::are_served_by(moment, &intended) {
        return None;
    }
    let within_ms = users::SHIFT_DEADLINE_MS;
    if moment.waited_ms() <= within_ms {
        Some(Decision::Wait(Waiting::Weights))
    } else if moment.going_forward() {
        Some(Decision::Fail(Failure::NotShifted { within_ms }))
    } else {
        None
    }
}

/// The next request towards what is intended; `None` when all is.
fn next_change(moment: &Moment<'_>, intended: &Intended) -> Option<Decision> {
    let slice = moment.at;
    let apply = |effect| Some(Decision::Apply(effect));
    if !same_launch(moment, intended) {
        return apply(Effect::SetLaunch {
            slice,
            launch: intended.launch.clone(),
        });
    }
    let (present, wanted) = (count(moment.slice.present()), intended.sizes.desired);
    // Once the sizes are right and all are alike, a surplus is the group's own: it moves instances
    // between zones, starting before stopping. To protect some of them then would be in its way,
    // unless so many are protected that nobody could go.
    let wanted_id = intended.launch.as_ref().map(|launch| &launch.id);
    let alike = moment.slice.present().all(|i| Some(&i.launch) == wanted_id);
    let held = count(moment.slice.present().filter(|i| i.protected)) > wanted;
    let shrinks = moment.slice.sizes != intended.sizes || !alike || held;
    // One that the group is about to start counts: by the time the request for fewer arrives it may be
    // there, and a healthy one would go for it.
    let coming = present.max(moment.slice.sizes.desired);
    if coming > wanted && shrinks {
        let launch = moment.deployment.wanted().map(|launch| &launch.id);
        let stay = survivors::healthiest(moment.slice, launch, wanted);
        if let Some(effect) = survivors::protect_exactly(slice, moment.slice, &stay) {
            return apply(effect);
        }
    }
    if moment.slice.sizes != intended.sizes {
        return apply(resize(moment, intended.sizes));
    }
    if present > wanted {
        return Some(Decision::Wait(Waiting::Settling { present, wanted }));
    }
    if let Some(effect) = survivors::protect_exactly(slice, moment.slice, &intended.protected) {
        return apply(effect);
    }
    (moment.slice.rebalancing_suspended != intended.rebalancing_suspended).then_some(
        Decision::Apply(Effect::SetRebalancing {
            slice,
            suspended: intended.rebalancing_suspended,
        }),
    )
}

/// A group that scales itself may be changing Desired right now: only its bounds are set, unless it
/// has to leave Desired.
fn resize(moment: &Moment<'_>, sizes: Sizes) -> Effect {
    let slice = moment.at;
    let Sizes { min, desired, max } = sizes;
    match moment.autoscaled() && moment.slice.sizes.desired == desired {
        true => Effect::SetBounds { slice, min, max },
        false => Effect::SetSizes { slice, sizes },
    }
}

fn same_launch(moment: &Moment<'_>, intended: &Intended) -> bool {
    moment.slice.launches.as_ref().map(|l| &l.id) == intended.launch.as_ref().map(|l| &l.id)
}

fn certificate(
    moment: &Moment<'_>,
    weights: &Weights,
    slices: &[(Moment<'_>, Intended)],
) -> Certificate {
    let apart = moment.deployment.roles.are_apart();
    let mut lines = Vec::new();
    for (moment, intended) in slices {
        let prefix = if apart {
            format!("{} ", moment.at)
        } else {
            String::new()
        };
        lines.extend(slice_lines(moment, intended).map(|line| CertificateLine {
            field: format!("{prefix}{}", line.field),
            ..line
        }));
    }
    lines.push(CertificateLine {
        field: "weights".to_owned(),
        before: moment.baseline.weights.to_string(),
        intended: weights.to_string(),
        seen: moment.seen.weights.to_string(),
    });
    Certificate { lines }
}

fn slice_lines(moment: &Moment<'_>, intended: &Intended) -> [CertificateLine; 4] {
    let (before, seen) = (moment.before(), moment.slice);
    let line = |field: &str, before: String, intended: String, seen: String| CertificateLine {
        field: field.to_owned(),
        before,
        intended,
        seen,
    };
    let launch = |launch: Option<&Launch>| launch.map_or("none".to_owned(), |l| l.id.to_string());
    let protected = moment
        .slice
        .present()
        .filter(|i| i.protected)
        .map(|i| i.id.clone())
        .collect();
    [
        line(
            "launch",
            launch(before.launch.as_ref()),
            launch(intended.launch.as_ref()),
            launch(seen.launches.as_ref()),
        ),
        line(
            "sizes",
            sizes_text(before.sizes),
            sizes_text(intended.sizes),
            sizes_text(seen.sizes),
        ),
        line(
            "protected",
            ids(&before.protected),
            ids(&intended.protected),
            ids(&protected),
        ),
        line(
            "rebalancing",
            on_off(before.rebalancing_suspended),
            on_off(intended.rebalancing_suspended),
            on_off(seen.rebalancing_suspended),
        ),
    ]
}

fn sizes_text(sizes: Sizes) -> String {
    format!(
        "min {} desired {} max {}",
        sizes.min, sizes.desired, sizes.max
    )
}
fn on_off(suspended: bool) -> String {
    if suspended { "suspended" } else { "on" }.to_owned()
}
fn ids(ids: &BTreeSet<InstanceId>) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(" ")
    }
}
