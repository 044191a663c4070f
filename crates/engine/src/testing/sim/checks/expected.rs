//! What a story leads to where nothing goes wrong by chance.

use domain::{
    deployment::Outcome,
    gate::Gate,
    observation::Sizes,
    plan::{Step, Strategy},
    slice::Slice,
};

use crate::testing::sim::story::Story;

/// Whether the gates of the plan stop a release that is healthy; `None` when it depends.
pub(super) fn of_gates(story: &Story, errs: bool) -> Option<bool> {
    // What stable answers with decides over gates too, and a dead one answers nothing.
    let gates: Vec<&Gate> = story
        .deployment
        .plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Bake(bake) => Some(&bake.until.gates),
            _ => None,
        })
        .flatten()
        .collect();
    if !gates.is_empty() && !story.stable_is_good {
        return None;
    }
    Some(gates.iter().any(|gate| match gate {
        Gate::Approval(_) => !story.approves,
        asks if asks.patience().is_some() => !story.outside_is_good,
        _ => errs,
    }))
}

/// The least and the most that `slice` may be left at; `None` when it depends.
pub(super) fn sizes(story: &Story, outcome: Outcome, slice: Slice) -> Option<(Sizes, Sizes)> {
    let group = &story.deployment.target.group;
    let roles = story.roles();
    let before = if slice == story.live {
        story.sizes
    } else {
        story.leftover_sizes()
    };
    let exactly = |sizes| Some((sizes, sizes));
    // A group that scales itself moves within its bounds.
    let scaled = |sizes: Sizes| {
        let (mut least, mut most) = (sizes, sizes);
        (least.desired, most.desired) = (sizes.min, sizes.max);
        Some((least, most))
    };
    let autoscaled = group.autoscaling.is_some();
    let strategy = &story.deployment.strategy;
    let switches = *strategy == Strategy::Switch && story.deployment.stable.is_some();
    let succeeded = outcome == Outcome::Succeeded && !switches;
    if outcome == Outcome::Failed && roles.are_apart() {
        return None;
    }
    if succeeded && slice == roles.next {
        return match group.autoscaling {
            Some(bounds) => scaled(Sizes {
                min: bounds.min,
                desired: bounds.min,
                max: bounds.max,
            }),
            None => exactly(resized(story.sizes, group.size)),
        };
    }
    let keeps = strategy.two_slices().is_none_or(|options| options.keep_old);
    if succeeded && roles.are_apart() && slice == roles.live && !keeps {
        return exactly(Sizes::default());
    }
    if autoscaled {
        scaled(before)
    } else {
        exactly(before)
    }
}

/// The sizes that a fixed group of `before` has once it keeps `asked` instances.
fn resized(before: Sizes, asked: u32) -> Sizes {
    Sizes {
        min: if before.min == before.desired {
            asked
        } else {
            before.min.min(asked)
        },
        desired: asked,
        max: if before.max == before.desired {
            asked
        } else {
            before.max.max(asked)
        },
    }
}
