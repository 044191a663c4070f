//! The end of every deployment: the baseline plus exactly the intended change, proved field by field.

use std::collections::BTreeSet;

use super::{Decision, Look, Waiting, retire, shift, survivors};
use crate::{
    catalogue::Bounds,
    deployment::{Certificate, CertificateLine, Course},
    effect::Effect,
    observation::{InstanceId, Sizes, Weights, count},
    release::Launch,
};

/// What is meant to be there in the end.
struct Intended {
    launch: Option<Launch>,
    sizes: Sizes,
    protected: BTreeSet<InstanceId>,
    rebalancing_suspended: bool,
    weights: Weights,
}

pub(super) fn decide(look: &Look<'_>) -> Decision {
    if let Some(straggler) = straggler(look) {
        return straggler;
    }
    let intended = intended(look);
    if let Some(decision) = next_change(look, &intended) {
        return decision;
    }
    look.reached(Decision::Finish(certificate(look, &intended)))
}

/// Instances of the release that was retired show up again only where a provider showed an old
/// state before; they are retired again.
fn straggler(look: &Look<'_>) -> Option<Decision> {
    let retired = match look.deployment.progress.course {
        Course::Forward => look.deployment.stable.as_ref()?,
        Course::RollingBack => return None,
    };
    look.slice.present_of(&retired.id).next()?;
    let leaving = look.deployment.capacity().asked;
    Some(retire::decide(
        look,
        &retire::Retire {
            launch: &retired.id,
            keep: 0,
            leaving,
        },
    ))
}

fn intended(look: &Look<'_>) -> Intended {
    let baseline = look.baseline;
    let forward = look.going_forward();
    let still_there = |id: &&InstanceId| look.slice.present().any(|i| i.id == **id);
    Intended {
        launch: if forward {
            Some(look.deployment.launch.clone())
        } else {
            baseline.launch.clone()
        },
        sizes: sizes(look, forward),
        protected: baseline
            .protected
            .iter()
            .filter(still_there)
            .cloned()
            .collect(),
        rebalancing_suspended: baseline.rebalancing_suspended,
        weights: weights(look, forward),
    }
}

/// The sizes that stay. A group that scales itself keeps its live desired count.
fn sizes(look: &Look<'_>, forward: bool) -> Sizes {
    let before = look.baseline.sizes;
    let live = look.slice.sizes.desired;
    match look.deployment.target.group.autoscaling {
        Some(Bounds { min, max }) if forward => Sizes {
            min,
            desired: live.clamp(min, max),
            max,
        },
        Some(_) if before.max > 0 => Sizes {
            desired: live.clamp(before.min, before.max),
            ..before
        },
        _ if forward => resized(before, look.deployment.capacity().asked),
        _ => before,
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

fn weights(look: &Look<'_>, forward: bool) -> Weights {
    let shifted = look
        .deployment
        .plan
        .steps
        .iter()
        .rev()
        .find_map(|step| match step {
            crate::plan::Step::Shift { weights } => Some(weights.clone()),
            _ => None,
        });
    shifted
        .filter(|_| forward)
        .unwrap_or_else(|| look.baseline.weights.clone())
}

/// The next request towards what is intended; `None` when all is.
fn next_change(look: &Look<'_>, intended: &Intended) -> Option<Decision> {
    let slice = look.baseline.slice;
    let apply = |effect| Some(Decision::Apply(effect));
    if !same_launch(look, intended) {
        return apply(Effect::SetLaunch {
            slice,
            launch: intended.launch.clone(),
        });
    }
    if !shift::same(&look.seen.weights, &intended.weights) {
        return apply(Effect::SetTraffic {
            weights: intended.weights.clone(),
            mirror: None,
        });
    }
    let (present, wanted) = (count(look.slice.present()), intended.sizes.desired);
    if present > wanted {
        let stay = healthiest(look, wanted);
        if let Some(effect) = survivors::protect_exactly(slice, &look.slice, &stay) {
            return apply(effect);
        }
    }
    if look.slice.sizes != intended.sizes {
        return apply(Effect::SetSizes {
            slice,
            sizes: intended.sizes,
        });
    }
    if present > wanted {
        return Some(Decision::Wait(Waiting::Settling { present, wanted }));
    }
    if let Some(effect) = survivors::protect_exactly(slice, &look.slice, &intended.protected) {
        return apply(effect);
    }
    (look.slice.rebalancing_suspended != intended.rebalancing_suspended).then_some(Decision::Apply(
        Effect::SetRebalancing {
            slice,
            suspended: intended.rebalancing_suspended,
        },
    ))
}

fn same_launch(look: &Look<'_>, intended: &Intended) -> bool {
    look.slice.launches.as_ref().map(|l| &l.id) == intended.launch.as_ref().map(|l| &l.id)
}

/// Those that stay when there are too many: healthy ones first, of the wanted launch where there is
/// a choice. Losing the release that was wanted is bad; losing the last healthy instance is worse.
fn healthiest(look: &Look<'_>, many: u32) -> BTreeSet<InstanceId> {
    let wanted = look.deployment.wanted().map(|launch| &launch.id);
    let is_wanted = |i: &&crate::observation::Instance| Some(&i.launch) == wanted;
    let healthy =
        |i: &&crate::observation::Instance| i.state == crate::observation::InstanceState::Healthy;
    let mut stay = survivors::pick(look.slice.present().filter(healthy).filter(is_wanted), many);
    for group in [true, false] {
        let room = many.saturating_sub(count(stay.iter()));
        let more = look
            .slice
            .present()
            .filter(|i| !stay.contains(&i.id) && (healthy(i) || !group));
        let more = survivors::pick(more, room);
        stay.extend(more);
    }
    stay
}

fn certificate(look: &Look<'_>, intended: &Intended) -> Certificate {
    let (before, seen) = (look.baseline, &look.slice);
    let line = |field: &str, before: String, intended: String, seen: String| CertificateLine {
        field: field.to_owned(),
        before,
        intended,
        seen,
    };
    let launch = |launch: Option<&Launch>| launch.map_or("none".to_owned(), |l| l.id.to_string());
    let protected = look
        .slice
        .present()
        .filter(|i| i.protected)
        .map(|i| i.id.clone())
        .collect();
    Certificate {
        lines: vec![
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
            line(
                "weights",
                weights_text(&before.weights),
                weights_text(&intended.weights),
                weights_text(&look.seen.weights),
            ),
        ],
    }
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
fn weights_text(weights: &Weights) -> String {
    let parts: Vec<String> = weights
        .iter()
        .filter(|(_, weight)| **weight > 0)
        .map(|(slice, weight)| format!("{slice} {weight} %"))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}
