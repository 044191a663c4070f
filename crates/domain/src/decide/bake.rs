//! `Bake`: the release stays healthy under watch.

use super::{Decision, Failure, Look, Waiting};
use crate::{plan::Until, release::LaunchId};

pub(super) fn decide(look: &Look<'_>, launch: &LaunchId, wanted: u32, until: &Until) -> Decision {
    let Until::Elapsed { seconds } = until;
    let bake_ms = u64::from(*seconds) * 1000;
    let healthy = look.slice.healthy_of(launch);
    if healthy < wanted {
        return lost(look, launch, healthy, wanted, bake_ms);
    }
    let since = look.deployment.progress.holds_since.unwrap_or(look.now);
    if look.now.since_ms(since) >= bake_ms.max(look.seen.stale_ms_max) {
        return Decision::Next;
    }
    let waiting = Waiting::Baking {
        launch: launch.clone(),
        until: since.plus_ms(bake_ms),
    };
    Decision::Hold { since, waiting }
}

/// One instance lost by chance is replaced, and the watch begins anew; more than half lost at once,
/// or never a whole bake without a loss, and the release is not stable.
fn lost(look: &Look<'_>, launch: &LaunchId, healthy: u32, wanted: u32, bake_ms: u64) -> Decision {
    let launch = launch.clone();
    let deadline_ms = bake_ms + look.deployment.strategy.health_deadline_ms();
    let more_than_half = healthy < wanted.div_ceil(2);
    if more_than_half || look.waited_ms() > deadline_ms {
        Decision::Fail(Failure::NotStable {
            launch,
            healthy,
            wanted,
        })
    } else {
        Decision::Wait(Waiting::Recovering {
            launch,
            healthy,
            wanted,
        })
    }
}
