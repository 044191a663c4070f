//! The mirrors of the router, each with the counts of its copies.
//!
//! Invariant: as long as a group's mirror stays the same, its counts go on. They belong to this run
//! of the daemon; a later run has another epoch.

use std::{collections::BTreeMap, sync::Arc};

use domain::{observation::Observation, time::UnixMs};
use router::Mirroring;

use crate::group::Group;

/// The mirrors, by place.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    at: BTreeMap<String, Arc<Mirroring>>,
}

impl Mirrors {
    /// Ends the mirrors that no group has any more, and begins new ones.
    pub(super) fn follow(&mut self, groups: &BTreeMap<String, Group>, now: UnixMs) {
        let asked = |place: &String| groups.get(place)?.mirror.as_ref();
        self.at
            .retain(|place, mirroring| asked(place) == Some(mirroring.mirror()));
        for (place, group) in groups {
            if let Some(mirror) = &group.mirror
                && !self.at.contains_key(place)
            {
                let mirroring = Mirroring::new(mirror.clone(), now);
                self.at.insert(place.clone(), mirroring);
            }
        }
    }

    /// The mirror of a place.
    pub(super) fn of(&self, place: &str) -> Option<&Arc<Mirroring>> {
        self.at.get(place)
    }

    /// Adds the mirror of a place to its observation.
    pub(super) fn show(&self, place: &str, seen: &mut Observation) {
        let mirroring = self.of(place);
        seen.mirror = mirroring.map(|mirroring| mirroring.mirror().clone());
        seen.mirrored = mirroring.map(|mirroring| mirroring.mirrored());
    }
}

#[cfg(test)]
mod tests {
    use domain::{catalogue::ServerGroup, slice::Slice, traffic::Mirror};

    use super::*;

    #[test]
    fn the_same_mirror_goes_on_counting_and_another_begins_anew() {
        let settings: ServerGroup =
            serde_json::from_str(r#"{"service":"cart","environment":"live","size":2}"#).unwrap();
        let mut group = Group::new(settings.place(), settings);
        let mut mirrors = Mirrors::default();
        let mut epoch = |percent: Option<u8>, now| {
            group.mirror = percent.map(|percent| Mirror {
                from: Slice::Blue,
                to: Slice::Green,
                percent,
                methods: Vec::new(),
                compare: None,
            });
            let groups = BTreeMap::from([("cart.live".to_owned(), group.clone())]);
            mirrors.follow(&groups, UnixMs(now));
            let mut seen = Observation::default();
            mirrors.show("cart.live", &mut seen);
            assert_eq!(seen.mirror, group.mirror);
            seen.mirrored.map(|mirrored| mirrored.epoch)
        };
        assert_eq!(epoch(None, 1), None);
        assert_eq!(epoch(Some(5), 2), Some(2));
        assert_eq!(epoch(Some(5), 3), Some(2));
        assert_eq!(epoch(Some(6), 4), Some(4));
        assert_eq!(epoch(None, 5), None);
        assert_eq!(epoch(Some(6), 6), Some(6));
    }
}
