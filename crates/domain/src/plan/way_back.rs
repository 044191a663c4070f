//! The way back: users get stable again, and the failed release goes.
//!
//! ```text
//! first             shift to where users were, retire the failed release
//! scale-up          fill with stable, shift, retire
//! instance refresh  AWS takes it back; then as after a scale-up, which finds little left to do
//! two slices        fill half of stable, shift, fill the rest, retire
//! ```

use super::{EndRefresh, Fill, Plan, Retire, Step, Strategy};
use crate::{deployment::Baseline, release::Launch, users::Weights};

/// The plan that gives users `stable` back and takes `failed` away.
///
/// Without a stable nobody was served, so users are taken away before the instances are. Where
/// stable has a slice of its own, users go back as soon as half of it is healthy: that is far better
/// for them than the failed release, and nothing is retired before all of it is.
#[must_use]
pub fn roll_back(
    strategy: &Strategy,
    baseline: &Baseline,
    stable: Option<&Launch>,
    failed: &Launch,
) -> Plan {
    let (roles, count) = (baseline.roles, baseline.live_sizes().desired);
    let shift = |weights: Weights| Step::Shift(weights.into());
    let retire = |leaving| Retire {
        slice: roles.next,
        launch: failed.id.clone(),
        keep: 0,
        leaving,
        only_if_any: false,
    };
    let fill = |stable: &Launch, count| {
        Step::Fill(Fill {
            slice: roles.live,
            launch: stable.id.clone(),
            count,
            beside: 0,
        })
    };
    let steps = match (stable, strategy) {
        (None, _) => vec![shift(baseline.weights.clone()), Step::Retire(retire(0))],
        (Some(stable), Strategy::ScaleUp(_)) => vec![
            fill(stable, count),
            shift(baseline.weights.clone()),
            Step::Retire(retire(count)),
        ],
        (Some(stable), Strategy::InstanceRefresh(_)) => vec![
            Step::EndRefresh(EndRefresh { slice: roles.next }),
            fill(stable, count),
            shift(baseline.weights.clone()),
            Step::Retire(Retire {
                only_if_any: true,
                ..retire(count)
            }),
        ],
        (Some(stable), Strategy::BlueGreen(_) | Strategy::Canary(_) | Strategy::Switch) => {
            let mut steps = vec![
                fill(stable, count.div_ceil(2)),
                shift(Weights::all_on(roles.live)),
                fill(stable, count),
            ];
            if *strategy != Strategy::Switch {
                steps.push(Step::Retire(retire(0)));
            }
            steps
        }
    };
    Plan { steps }
}
