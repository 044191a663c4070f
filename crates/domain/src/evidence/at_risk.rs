//! Users who stick to a slice: each can meet its first error once, and its first 4xx.

use serde::{Deserialize, Serialize};

use super::{Arm, gathered::Seen};
use crate::traffic::UserCounts;

/// Users at the present share who have not met it yet: of the new release, then of stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct AtRisk {
    errors: [u64; 2],
    client_errors: [u64; 2],
}

impl AtRisk {
    /// What a stretch says of errors and of answers with a 4xx, where both sides had these users.
    pub(super) fn take(&mut self, users: [UserCounts; 2]) -> [Seen; 2] {
        let seen = users.map(|side| side.seen);
        [
            meet(&mut self.errors, seen, users.map(|side| side.failed)),
            meet(
                &mut self.client_errors,
                seen,
                users.map(|side| side.client_failed),
            ),
        ]
    }
}

/// So many users were seen for the first time, and so many met it.
fn meet(at_risk: &mut [u64; 2], seen: [u64; 2], met: [u64; 2]) -> Seen {
    let all = [0, 1].map(|side: usize| at_risk[side].saturating_add(seen[side]));
    *at_risk = [0, 1].map(|side| all[side].saturating_sub(met[side]));
    let sides = [0, 1].map(|side| Arm {
        requests: seen[side],
        events: met[side],
    });
    Seen::of_users(sides, all)
}
