//! The counts of users' requests since counting began: by release for metrics, by slice for
//! observations.
//!
//! Invariant: the counts of a slice only grow. A release is removed once nothing can count for it
//! any more. Its counts are shown for a while longer, so that nobody who reads them now and then
//! misses the last ones; then they are added to those of the slice.
//! Invariant: each slice has at most one set of counters per release with instances, and one for
//! the release that starts next.

use std::{collections::BTreeMap, sync::Arc};

use domain::{names::Version, slice::Slice, time::UnixMs, traffic::UserCounts};
use router::{Counters, Counts, UserTally};

use super::wire::{Host, SliceReading, Table};

/// How long the counts of a release that is gone are shown.
const SHOWN_MS: u64 = 15 * 60 * 1000;

/// The counts of every slice.
#[derive(Debug)]
pub(super) struct Counted {
    epoch: u64,
    slices: BTreeMap<(String, Slice), SliceCounts>,
    /// How the users of each place are split.
    shares: BTreeMap<String, Vec<(Slice, u8)>>,
}

/// The counts of one slice.
#[derive(Debug, Default)]
struct SliceCounts {
    /// The counts of releases that are no longer shown.
    past: Counts,
    /// Those of releases that are gone, and since when.
    gone: BTreeMap<Version, (Counts, UnixMs)>,
    releases: BTreeMap<Version, Arc<Counters>>,
    users: Arc<UserTally>,
    /// What the router before counted of users.
    users_before: UserCounts,
}

impl Counted {
    /// No counts yet; counting begins `now`.
    pub(super) fn new(now: UnixMs) -> Self {
        Self {
            epoch: now.since_ms(UnixMs(0)),
            slices: BTreeMap::new(),
            shares: BTreeMap::new(),
        }
    }

    /// What counts the requests of a release, and the users of its slice, for its instances.
    pub(super) fn of(
        &mut self,
        place: &str,
        slice: Slice,
        version: &Version,
    ) -> (Arc<Counters>, Arc<UserTally>) {
        let counts = self.slices.entry((place.to_owned(), slice)).or_default();
        let counters = counts.releases.entry(version.clone()).or_default();
        (Arc::clone(counters), Arc::clone(&counts.users))
    }

    /// Since when requests are counted, in Unix milliseconds.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Counts on from what another router counted since `epoch`.
    pub(super) fn continue_from(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// Adds what another router counted of a slice. Its users are counted once more if they come.
    pub(super) fn absorb(&mut self, counted: SliceReading, now: UnixMs) {
        let SliceReading {
            place,
            slice,
            past,
            releases,
            users,
        } = counted;
        let own = self.slices.entry((place, slice)).or_default();
        own.past.add(&past);
        own.users_before.add(users);
        for (version, counts) in releases {
            let (sum, since) = own.gone.entry(version).or_default();
            sum.add(&counts);
            *since = now;
        }
    }

    /// Counts every user of a place once more when its users are split in another way.
    pub(super) fn follow(&mut self, table: &Table) {
        for (place, host) in &table.hosts {
            let shares = host.slices.iter().map(|of| (of.slice, of.weight)).collect();
            if self.shares.get(place) == Some(&shares) {
                continue;
            }
            self.shares.insert(place.clone(), shares);
            for ((of, _), counts) in &self.slices {
                if of == place {
                    counts.users.forget();
                }
            }
        }
    }

    /// Removes the releases that are gone: those without an instance or a request in flight that
    /// are not the next to start.
    pub(super) fn settle(&mut self, table: &Table, now: UnixMs) {
        for ((place, slice), counts) in &mut self.slices {
            let of = |host: &'_ Host| {
                let mut slices = host.slices.iter();
                slices.find(|it| it.slice == *slice)?.next.clone()
            };
            let next = table.hosts.get(place).and_then(of);
            counts.settle(next.as_ref(), now);
        }
    }

    /// The counts so far.
    pub(super) fn read(&self) -> Vec<SliceReading> {
        let slices = self.slices.iter().map(|((place, slice), counts)| {
            let mut users = counts.users.read();
            users.add(counts.users_before);
            SliceReading {
                place: place.clone(),
                slice: *slice,
                past: counts.past.clone(),
                releases: counts.shown(),
                users,
            }
        });
        slices.collect()
    }
}

impl SliceCounts {
    fn settle(&mut self, next: Option<&Version>, now: UnixMs) {
        let Self {
            past,
            gone,
            releases,
            ..
        } = self;
        releases.retain(|version, counters| {
            // This is the only reference, and new ones are made only here: nothing counts any more.
            let is_gone = next != Some(version) && Arc::get_mut(counters).is_some();
            if is_gone {
                let (counts, since) = gone.entry(version.clone()).or_default();
                counts.add(&counters.read());
                *since = now;
            }
            !is_gone
        });
        gone.retain(|version, (counts, since)| {
            let shown = releases.contains_key(version) || now.since_ms(*since) < SHOWN_MS;
            if !shown {
                past.add(counts);
            }
            shown
        });
    }

    /// The counts of the releases that are shown.
    fn shown(&self) -> BTreeMap<Version, Counts> {
        let gone = self.gone.iter();
        let mut shown: BTreeMap<Version, Counts> = gone
            .map(|(version, (counts, _))| (version.clone(), counts.clone()))
            .collect();
        for (version, counters) in &self.releases {
            let counts = shown.entry(version.clone()).or_default();
            counts.add(&counters.read());
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::routing::wire::{Reading, SliceOf};

    fn table(blue: u8) -> Table {
        let slices = [(Slice::Blue, blue), (Slice::Green, 100 - blue)];
        let slices = slices.map(|(slice, weight)| SliceOf {
            slice,
            weight,
            next: None,
            instances: Vec::new(),
        });
        let host = Host {
            slices: slices.into(),
            ..Host::default()
        };
        Table {
            hosts: BTreeMap::from([("cart.live".to_owned(), host)]),
        }
    }

    fn version() -> Version {
        "1.0.0".parse().unwrap()
    }

    #[test]
    fn a_release_that_is_gone_is_shown_for_a_while_and_leaves_its_counts_to_the_slice() {
        let mut counted = Counted::new(UnixMs(5));
        let (counters, _) = counted.of("cart.live", Slice::Blue, &version());
        counters.count(StatusCode::INTERNAL_SERVER_ERROR, 100);
        let errors = |counted: &Counted| {
            let read = counted.read();
            let shown = read[0].releases.get(&version()).map(Counts::errors);
            (shown, read[0].sum().errors())
        };
        let at = |minutes: i64| UnixMs(minutes * 60_000);
        counted.settle(&table(100), at(1));
        assert_eq!(errors(&counted), (Some(1), 1), "somebody still counts");
        counters.count(StatusCode::BAD_GATEWAY, 100);
        drop(counters);
        counted.settle(&table(100), at(2));
        assert_eq!(
            errors(&counted),
            (Some(2), 2),
            "its last counts can be read"
        );
        let (counters, _) = counted.of("cart.live", Slice::Blue, &version());
        counters.count(StatusCode::BAD_GATEWAY, 100);
        assert_eq!(errors(&counted), (Some(3), 3), "it goes on when it is back");
        drop(counters);
        counted.settle(&table(100), at(3));
        counted.settle(&table(100), at(17));
        assert_eq!(errors(&counted), (Some(3), 3));
        counted.settle(&table(100), at(18));
        assert_eq!(errors(&counted), (None, 3), "the slice keeps them");
    }

    #[test]
    fn users_are_counted_once_for_each_share() {
        let mut counted = Counted::new(UnixMs(5));
        let (_, users) = counted.of("cart.live", Slice::Blue, &version());
        let mut seen = |blue: u8| {
            counted.follow(&table(blue));
            users.see(7);
            counted.read()[0].users.seen
        };
        assert_eq!((seen(100), seen(100)), (1, 1));
        assert_eq!((seen(90), seen(90)), (2, 2));
    }

    #[test]
    fn a_successor_counts_on() {
        let mut old = Counted::new(UnixMs(5));
        let (counters, users) = old.of("cart.live", Slice::Blue, &version());
        counters.count(StatusCode::OK, 100);
        users.fail(7);
        users.fail_client(6);
        let mut new = Counted::new(UnixMs(9));
        new.continue_from(old.epoch());
        for slice in old.read() {
            new.absorb(slice, UnixMs(9));
        }
        let (counters, users) = new.of("cart.live", Slice::Blue, &version());
        counters.count(StatusCode::NOT_FOUND, 100);
        users.see(8);
        let read = new.read();
        assert_eq!(new.epoch(), 5);
        assert_eq!(read[0].releases[&version()].classes, [0, 1, 0, 1, 0]);
        let counted_users = UserCounts {
            seen: 3,
            failed: 1,
            client_failed: 1,
        };
        assert_eq!(read[0].users, counted_users);
        counters.count(StatusCode::OK, 100);
        let reading = |slices| Reading {
            slices,
            ..Reading::default()
        };
        let (earlier, later) = (reading(read), reading(new.read()));
        let since = later.since(&earlier);
        assert_eq!(since.slices[0].sum().classes, [0, 1, 0, 0, 0]);
    }
}
