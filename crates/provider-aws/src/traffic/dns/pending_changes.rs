//! Changes of DNS weights that may not have reached all resolvers, so that a split is not believed while
//! some users still follow an older one. All of it can be lost: then the records count as just changed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use domain::{time::UnixMs, users::Weights};

use super::Records;
use crate::{server_group::SLICES, traffic::weights};

/// Most changes on top of each other whose weights are remembered.
const CHANGES_MAX: usize = 16;
/// How long a change usually takes at most until every server of Route 53 has it, in milliseconds.
const INSYNC_MS: u64 = 60_000;

/// The pending changes of one account.
#[derive(Debug, Default)]
pub struct PendingChanges(Mutex<BTreeMap<Records, Memory>>);

/// What this process remembers of the records of one server group.
#[derive(Debug, Default)]
struct Memory {
    /// The weights from before the pending changes, which resolvers may still answer with.
    before: Vec<Weights>,
    /// When this process first read the records.
    since: UnixMs,
    /// The last change, until the answers from before it have expired.
    last: Option<Change>,
}

#[derive(Debug)]
struct Change {
    id: String,
    in_sync_at: Option<UnixMs>,
}

impl PendingChanges {
    /// The id of the last change, if Route 53 may not have it on all of its servers yet.
    pub fn not_in_sync(&self, records: &Records, now: UnixMs) -> Option<String> {
        self.memory(records, now, |memory| {
            let last = memory.last.as_ref();
            let open = last.filter(|change| change.in_sync_at.is_none());
            open.map(|change| change.id.clone())
        })
    }

    /// Route 53 has the change on all of its servers.
    pub fn note_in_sync(&self, records: &Records, change: &str, now: UnixMs) {
        self.memory(records, now, |memory| memory.note_in_sync(change, now));
    }

    /// A change was made; these were the weights before it.
    pub fn note(&self, records: &Records, change: Option<String>, before: Weights, now: UnixMs) {
        self.memory(records, now, |memory| memory.note(change, before));
    }

    /// The weights that users follow when `listed` are those of the records, and how old that may be in
    /// milliseconds.
    pub fn served(
        &self,
        records: &Records,
        listed: &Weights,
        ttl_ms: u64,
        now: UnixMs,
    ) -> (Weights, u64) {
        self.memory(records, now, |memory| memory.served(listed, ttl_ms, now))
    }

    fn memory<T>(&self, records: &Records, now: UnixMs, with: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Memory {
            since: now,
            ..Memory::default()
        };
        with(memories.entry(records.clone()).or_insert_with(fresh))
    }
}

impl Memory {
    fn note(&mut self, change: Option<String>, before: Weights) {
        if self.before.len() < CHANGES_MAX {
            self.before.push(before);
        }
        self.last = change.map(|id| Change {
            id,
            in_sync_at: None,
        });
    }

    /// Another change may have been made while AWS was asked about this one.
    fn note_in_sync(&mut self, change: &str, now: UnixMs) {
        if let Some(last) = self.last.as_mut().filter(|last| last.id == change) {
            last.in_sync_at = Some(now);
        }
    }

    fn served(&mut self, listed: &Weights, ttl_ms: u64, now: UnixMs) -> (Weights, u64) {
        let expired = |change: &mut Change| {
            let in_sync_at = change.in_sync_at;
            in_sync_at.is_some_and(|at| now.since_ms(at) >= ttl_ms)
        };
        self.last.take_if(expired);
        if self.last.is_none() {
            self.before.clear();
        }
        // Somebody may have changed the records just before this process first read them.
        let settled = self.last.is_none() && now.since_ms(self.since) > ttl_ms + INSYNC_MS;
        let stale_ms = if settled { 0 } else { ttl_ms + INSYNC_MS };
        (mean(&self.before, listed), stale_ms)
    }
}

/// The mean of the weights that resolvers may answer with. A slice that has users by any of them has
/// users.
fn mean(before: &[Weights], after: &Weights) -> Weights {
    let all: Vec<&Weights> = before.iter().chain([after]).collect();
    let total = |slice| all.iter().map(|it| u64::from(it.share(slice))).sum::<u64>();
    let mut weights = weights::percent(&SLICES.map(|slice| (slice, total(slice))));
    let served = SLICES.into_iter().filter(|slice| total(*slice) > 0);
    for slice in served {
        if weights.share(slice) == 0 {
            weights.set(slice, 1);
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use domain::observation::Slice;

    use super::*;

    #[test]
    fn a_change_that_was_taken_back_is_still_pending() {
        let blue = Weights::from([(Slice::Blue, 100)]);
        let green = Weights::from([(Slice::Green, 100)]);
        assert_eq!(mean(&[], &blue), blue);
        let half = Weights::from([(Slice::Blue, 50), (Slice::Green, 50)]);
        assert_eq!(mean(std::slice::from_ref(&blue), &green), half);
        let back = mean(&[blue.clone(), green], &blue);
        assert_eq!(back, Weights::from([(Slice::Blue, 67), (Slice::Green, 33)]));
    }

    #[test]
    fn a_change_that_is_made_while_another_is_asked_about_stays_pending() {
        let blue = Weights::from([(Slice::Blue, 100)]);
        let green = Weights::from([(Slice::Green, 100)]);
        let mut memory = Memory::default();
        memory.note(Some("first".to_owned()), blue.clone());
        memory.note(Some("second".to_owned()), green);
        memory.note_in_sync("first", UnixMs(1000));
        let (served, stale_ms) = memory.served(&blue, 30_000, UnixMs(900_000));
        assert_eq!(
            served,
            Weights::from([(Slice::Blue, 67), (Slice::Green, 33)])
        );
        assert_eq!(stale_ms, 90_000);
        memory.note_in_sync("second", UnixMs(900_000));
        assert_eq!(memory.served(&blue, 30_000, UnixMs(929_000)).1, 90_000);
        assert_eq!(memory.served(&blue, 30_000, UnixMs(930_000)), (blue, 0));
    }
}
