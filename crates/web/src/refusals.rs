//! Refused attempts in the log: told, and bounded, however many there are.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Between two lines of the same kind.
const EVERY: Duration = Duration::from_secs(10);

/// What was told of this process's refusals.
static REFUSALS: Refusals = Refusals(Mutex::new(BTreeMap::new()));

/// One more attempt of this kind was refused: told in the log, at most one line of a kind per [`EVERY`].
pub(crate) fn note(kind: &'static str) {
    if let Some(more) = REFUSALS.counted(kind, Instant::now()) {
        tracing::warn!(more, "{kind}");
    }
}

#[derive(Debug)]
struct Refusals(Mutex<BTreeMap<&'static str, Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    since: u64,
}

impl Refusals {
    /// How many were not told before this one; `None` when it is not told either.
    fn counted(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = kinds.get_mut(kind) else {
            kinds.insert(kind, Told { at: now, since: 0 });
            return Some(0);
        };
        if now.duration_since(told.at) < EVERY {
            told.since += 1;
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_refusals_are_one_line_that_counts_them() {
        let (refusals, now) = (Refusals(Mutex::default()), Instant::now());
        assert_eq!(refusals.counted("one", now), Some(0));
        for _ in 0..1000 {
            assert_eq!(refusals.counted("one", now), None);
        }
        assert_eq!(refusals.counted("other", now), Some(0));
        assert_eq!(refusals.counted("one", now + EVERY), Some(1000));
    }
}
