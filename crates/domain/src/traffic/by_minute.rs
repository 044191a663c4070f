//! What providers tell of users' requests minute by minute, and late.
//!
//! Invariant: a minute that is shown does not change any more, and none is left out between two that are
//! shown. So whoever takes them one after the other counts each request once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Traffic;
use crate::{slice::Slice, time::UnixMs};

/// A minute, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;

/// The users' requests of a while, minute by minute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ByMinute {
    /// The minutes that are settled, in their order and without a gap.
    pub minutes: Vec<Minute>,
    /// How long it usually takes from the end of a minute until it is shown, in milliseconds.
    pub late_ms: u64,
    /// Why nothing came at the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What was counted in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began, by the provider's clock.
    pub at: UnixMs,
    /// The requests to each slice; a slice that had none may be missing.
    pub slices: BTreeMap<Slice, Traffic>,
}

impl Minute {
    /// When it ended.
    #[must_use]
    pub fn end(&self) -> UnixMs {
        self.at.plus_ms(MINUTE_MS)
    }
}

impl ByMinute {
    /// The minutes that began at `from` or later.
    pub fn since(&self, from: UnixMs) -> impl Iterator<Item = &Minute> {
        self.minutes.iter().filter(move |minute| minute.at >= from)
    }

    /// Requests and errors of `slice` in all minutes, and for how long they were counted, in milliseconds.
    #[must_use]
    pub fn totals(&self, slice: Slice) -> (u64, u64, u64) {
        let sides = self.minutes.iter().filter_map(|it| it.slices.get(&slice));
        let (requests, errors) = sides.fold((0_u64, 0_u64), |(requests, errors), side| {
            (
                requests.saturating_add(side.requests),
                errors.saturating_add(side.errors),
            )
        });
        (requests, errors, MINUTE_MS * self.minutes.len() as u64)
    }
}
