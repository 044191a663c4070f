//! The counts of users' requests since the daemon started: by release for metrics, by slice for
//! observations.
//!
//! Invariant: the counts of a slice only grow. A release is removed once nothing can count for it
//! any more, and its counts are added to those of the slice.
//! Invariant: each slice has at most one set of counters per release with instances, and one for
//! the release that starts next.

use std::{collections::BTreeMap, sync::Arc};

use domain::{names::Version, slice::Slice, time::UnixMs, traffic::Traffic};
use router::{Counters, Counts};

use crate::group::Group;

/// The counts of every slice.
#[derive(Debug)]
pub(super) struct Counted {
    epoch: u64,
    slices: BTreeMap<(String, Slice), SliceCounts>,
}

/// The counts of one slice.
#[derive(Debug, Default)]
struct SliceCounts {
    /// The counts of releases that are gone.
    past: Counts,
    releases: BTreeMap<Version, Arc<Counters>>,
}

impl Counted {
    /// No counts yet; counting begins `now`.
    pub(super) fn new(now: UnixMs) -> Self {
        Self {
            epoch: now.since_ms(UnixMs(0)),
            slices: BTreeMap::new(),
        }
    }

    /// The counters of a release, for its instances.
    pub(super) fn of(&mut self, place: &str, slice: Slice, version: &Version) -> Arc<Counters> {
        let counts = self.slices.entry((place.to_owned(), slice)).or_default();
        Arc::clone(counts.releases.entry(version.clone()).or_default())
    }

    /// Removes the releases that are gone: those without an instance or a request in flight that
    /// are not the next to start.
    pub(super) fn settle(&mut self, groups: &BTreeMap<String, Group>) {
        for ((place, slice), counts) in &mut self.slices {
            let slot = groups.get(place).and_then(|group| group.slices.get(slice));
            let next = slot.and_then(|slot| Some(&slot.launches.as_ref()?.version));
            counts.settle(next);
        }
    }

    /// The counts of each slice of one place.
    pub(super) fn traffic(&self, place: &str, group: &Group) -> BTreeMap<Slice, Traffic> {
        let of = |slice: &Slice| {
            let counts = self.slices.get(&(place.to_owned(), *slice));
            let sum = counts.map(SliceCounts::sum).unwrap_or_default();
            (*slice, sum.traffic(self.epoch))
        };
        group.slices.keys().map(of).collect()
    }

    /// The counters of every release that is not gone.
    pub(super) fn releases(&self) -> impl Iterator<Item = (&str, Slice, &Version, &Counters)> {
        self.slices.iter().flat_map(|((place, slice), counts)| {
            let releases = counts.releases.iter();
            releases.map(|(version, counters)| (&**place, *slice, version, &**counters))
        })
    }
}

impl SliceCounts {
    fn settle(&mut self, next: Option<&Version>) {
        let Self { past, releases } = self;
        releases.retain(|version, counters| {
            // This is the only reference, and new ones are made only here: nothing counts any more.
            let gone = next != Some(version) && Arc::get_mut(counters).is_some();
            if gone {
                past.add(&counters.read());
            }
            !gone
        });
    }

    fn sum(&self) -> Counts {
        let mut sum = self.past.clone();
        for counters in self.releases.values() {
            sum.add(&counters.read());
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_release_that_is_gone_leaves_its_counts_to_the_slice() {
        let mut counted = Counted::new(UnixMs(5));
        let settings: domain::catalogue::ServerGroup =
            serde_json::from_str(r#"{"service":"cart","environment":"live","size":2}"#).unwrap();
        let mut group = Group::new(settings.place(), settings);
        group.slices.entry(Slice::Blue).or_default();
        let version: Version = "1.0.0".parse().unwrap();
        let counters = counted.of("cart.live", Slice::Blue, &version);
        counters.count(StatusCode::INTERNAL_SERVER_ERROR, 100);
        let groups = BTreeMap::from([("cart.live".to_owned(), group.clone())]);
        let errors = |counted: &Counted| {
            let traffic = counted.traffic("cart.live", &group);
            (traffic[&Slice::Blue].epoch, traffic[&Slice::Blue].errors)
        };
        counted.settle(&groups);
        assert_eq!(counted.releases().count(), 1, "somebody still counts");
        assert_eq!(errors(&counted), (5, 1));
        counters.count(StatusCode::BAD_GATEWAY, 100);
        drop(counters);
        counted.settle(&groups);
        assert_eq!(counted.releases().count(), 0);
        assert_eq!(errors(&counted), (5, 2));
    }
}
