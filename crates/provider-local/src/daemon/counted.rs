//! The counts of users' requests since the daemon started: by release for metrics, by slice for
//! observations.
//!
//! Invariant: the counts of a slice only grow. A release is removed once nothing can count for it
//! any more. Its counts are shown for a while longer, so that nobody who reads them now and then
//! misses the last ones; then they are added to those of the slice.
//! Invariant: each slice has at most one set of counters per release with instances, and one for
//! the release that starts next.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    names::Version,
    observation::InstanceId,
    slice::Slice,
    time::UnixMs,
    traffic::{InstanceCounts, Traffic},
    users::Weights,
};
use router::{Counters, Counts, UserTally};

use crate::group::Group;

/// How long the counts of a release that is gone are shown.
const SHOWN_MS: u64 = 15 * 60 * 1000;

/// The counts of every slice.
#[derive(Debug)]
pub(super) struct Counted {
    epoch: u64,
    slices: BTreeMap<(String, Slice), SliceCounts>,
    weights: BTreeMap<String, Weights>,
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
}

impl Counted {
    /// No counts yet; counting begins `now`.
    pub(super) fn new(now: UnixMs) -> Self {
        Self {
            epoch: now.since_ms(UnixMs(0)),
            slices: BTreeMap::new(),
            weights: BTreeMap::new(),
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

    /// Counts every user of a place once more when its users are split in another way.
    pub(super) fn follow(&mut self, groups: &BTreeMap<String, Group>) {
        for (place, group) in groups {
            if self.weights.get(place) == Some(&group.weights) {
                continue;
            }
            self.weights.insert(place.clone(), group.weights.clone());
            for ((of, _), counts) in &self.slices {
                if of == place {
                    counts.users.forget();
                }
            }
        }
    }

    /// Removes the releases that are gone: those without an instance or a request in flight that
    /// are not the next to start.
    pub(super) fn settle(&mut self, groups: &BTreeMap<String, Group>, now: UnixMs) {
        for ((place, slice), counts) in &mut self.slices {
            let slot = groups.get(place).and_then(|group| group.slices.get(slice));
            let next = slot.and_then(|slot| Some(&slot.launches.as_ref()?.version));
            counts.settle(next, now);
        }
    }

    /// The counts of each slice of one place; `of` gives those of an instance that runs.
    pub(super) fn traffic(
        &self,
        place: &str,
        group: &Group,
        of: impl Fn(&InstanceId) -> Option<InstanceCounts>,
    ) -> BTreeMap<Slice, Traffic> {
        let slices = group.slices.iter().map(|(slice, slot)| {
            let counts = self.slices.get(&(place.to_owned(), *slice));
            let sticks = group.settings.stickiness.is_some();
            let present = slot.members.iter().filter(|m| m.state.is_present());
            let traffic = Traffic {
                users: counts.filter(|_| sticks).map(|it| it.users.read()),
                instances: present
                    .filter_map(|member| Some((member.id.clone(), of(&member.id)?)))
                    .collect(),
                ..counts
                    .map(SliceCounts::sum)
                    .unwrap_or_default()
                    .traffic(self.epoch)
            };
            (*slice, traffic)
        });
        slices.collect()
    }

    /// The counts of every release that is still shown.
    pub(super) fn releases(&self) -> impl Iterator<Item = (&str, Slice, &Version, Counts)> {
        self.slices.iter().flat_map(|((place, slice), counts)| {
            let shown = counts.shown();
            shown.map(move |(version, counts)| (&**place, *slice, version, counts))
        })
    }

    /// The counts of every slice.
    pub(super) fn sums(&self) -> impl Iterator<Item = (&str, Slice, Counts)> {
        let slices = self.slices.iter();
        slices.map(|((place, slice), counts)| (&**place, *slice, counts.sum()))
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
    fn shown(&self) -> impl Iterator<Item = (&Version, Counts)> {
        let running = self.releases.iter().map(|(version, counters)| {
            let mut counts = counters.read();
            if let Some((before, _)) = self.gone.get(version) {
                counts.add(before);
            }
            (version, counts)
        });
        let gone = self.gone.iter();
        let gone = gone.filter(|(version, _)| !self.releases.contains_key(version));
        running.chain(gone.map(|(version, (counts, _))| (version, counts.clone())))
    }

    fn sum(&self) -> Counts {
        let mut sum = self.past.clone();
        self.shown().for_each(|(_, counts)| sum.add(&counts));
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
        let (counters, users) = counted.of("cart.live", Slice::Blue, &version);
        counters.count(StatusCode::INTERNAL_SERVER_ERROR, 100);
        users.see(7);
        let groups = BTreeMap::from([("cart.live".to_owned(), group.clone())]);
        let errors = |counted: &Counted| {
            let traffic = counted.traffic("cart.live", &group, |_| None);
            (traffic[&Slice::Blue].epoch, traffic[&Slice::Blue].errors)
        };
        let shown = |counted: &Counted| {
            let releases = counted.releases();
            releases.map(|(.., counts)| counts.errors()).next()
        };
        let at = |minutes: i64| UnixMs(minutes * 60_000);
        counted.settle(&groups, at(1));
        assert_eq!(shown(&counted), Some(1), "somebody still counts");
        assert_eq!(errors(&counted), (5, 1));
        counters.count(StatusCode::BAD_GATEWAY, 100);
        drop(counters);
        counted.settle(&groups, at(2));
        assert_eq!(shown(&counted), Some(2), "its last counts can be read");
        let (counters, _) = counted.of("cart.live", Slice::Blue, &version);
        counters.count(StatusCode::BAD_GATEWAY, 100);
        assert_eq!(shown(&counted), Some(3), "it goes on when it is back");
        drop(counters);
        counted.settle(&groups, at(3));
        counted.settle(&groups, at(17));
        assert_eq!(shown(&counted), Some(3));
        counted.settle(&groups, at(18));
        assert_eq!(shown(&counted), None);
        assert_eq!(errors(&counted), (5, 3), "the slice keeps them");
        assert_eq!(counted.sums().next().map(|(.., sum)| sum.errors()), Some(3));
    }

    #[test]
    fn users_are_counted_where_they_stick_and_once_for_each_share() {
        let mut counted = Counted::new(UnixMs(5));
        let settings: domain::catalogue::ServerGroup = serde_json::from_str(
            r#"{"service":"cart","environment":"live","size":2,
                "stickiness":{"by":"cookie","seconds":60}}"#,
        )
        .unwrap();
        let mut group = Group::new(settings.place(), settings);
        group.slices.entry(Slice::Blue).or_default();
        let version: Version = "1.0.0".parse().unwrap();
        let (_, users) = counted.of("cart.live", Slice::Blue, &version);
        let mut seen = |group: &Group| {
            let groups = BTreeMap::from([("cart.live".to_owned(), group.clone())]);
            counted.follow(&groups);
            users.see(7);
            let traffic = counted.traffic("cart.live", group, |_| None);
            traffic[&Slice::Blue].users.map(|users| users.seen)
        };
        assert_eq!((seen(&group), seen(&group)), (Some(1), Some(1)));
        group.weights = Weights::from([(Slice::Blue, 90), (Slice::Green, 10)]);
        assert_eq!((seen(&group), seen(&group)), (Some(2), Some(2)));
        group.settings.stickiness = None;
        assert_eq!(seen(&group), None);
    }
}
