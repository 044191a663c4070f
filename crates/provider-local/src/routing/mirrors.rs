//! The mirrors of the router, each with the counts of its copies.
//!
//! Invariant: as long as a place's mirror stays the same, its counts go on, also from one router to
//! its successor. Other counts have another epoch.

use std::{collections::BTreeMap, sync::Arc};

use domain::{time::UnixMs, traffic::Mirrored};
use router::Mirroring;

use super::wire::Table;

/// The mirrors, by place.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    at: BTreeMap<String, Arc<Mirroring>>,
    /// What the router before counted of the mirrors of its last table.
    before: BTreeMap<String, Mirrored>,
}

impl Mirrors {
    /// Goes on with these counts, if the first table still has their mirrors.
    pub(super) fn continue_from(&mut self, before: &BTreeMap<String, Mirrored>) {
        self.before.clone_from(before);
    }

    /// Ends the mirrors that no place has any more, and begins new ones.
    pub(super) fn follow(&mut self, table: &Table, now: UnixMs) {
        let before = std::mem::take(&mut self.before);
        let asked = |place: &String| table.hosts.get(place)?.mirror.as_ref();
        self.at
            .retain(|place, mirroring| asked(place) == Some(mirroring.mirror()));
        for (place, host) in &table.hosts {
            if let Some(mirror) = &host.mirror
                && !self.at.contains_key(place)
            {
                let fresh = || Mirrored {
                    epoch: now.since_ms(UnixMs(0)),
                    ..Mirrored::default()
                };
                let counted = before.get(place).cloned().unwrap_or_else(fresh);
                let mirroring = Mirroring::resume(mirror.clone(), counted);
                self.at.insert(place.clone(), mirroring);
            }
        }
    }

    /// The mirror of a place.
    pub(super) fn of(&self, place: &str) -> Option<&Arc<Mirroring>> {
        self.at.get(place)
    }

    /// What became of the copies, by place.
    pub(super) fn read(&self) -> BTreeMap<String, Mirrored> {
        let at = self.at.iter();
        at.map(|(place, mirroring)| (place.clone(), mirroring.mirrored()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::{slice::Slice, traffic::Mirror};

    use super::*;
    use crate::routing::wire::Host;

    fn table(percent: Option<u8>) -> Table {
        let mirror = percent.map(|percent| Mirror {
            from: Slice::Blue,
            to: Slice::Green,
            percent,
            methods: Vec::new(),
            compare: None,
        });
        let host = Host {
            mirror,
            ..Host::default()
        };
        Table {
            hosts: BTreeMap::from([("cart.live".to_owned(), host)]),
        }
    }

    #[test]
    fn the_same_mirror_goes_on_counting_and_another_begins_anew() {
        let mut mirrors = Mirrors::default();
        let mut epoch = |percent: Option<u8>, now| {
            mirrors.follow(&table(percent), UnixMs(now));
            let read = mirrors.read();
            read.get("cart.live").map(|mirrored| mirrored.epoch)
        };
        assert_eq!(epoch(None, 1), None);
        assert_eq!(epoch(Some(5), 2), Some(2));
        assert_eq!(epoch(Some(5), 3), Some(2));
        assert_eq!(epoch(Some(6), 4), Some(4));
        assert_eq!(epoch(None, 5), None);
        assert_eq!(epoch(Some(6), 6), Some(6));

        let mut successor = Mirrors::default();
        successor.continue_from(&mirrors.read());
        successor.follow(&table(Some(6)), UnixMs(7));
        assert_eq!(successor.read()["cart.live"].epoch, 6);
        successor.follow(&table(None), UnixMs(8));
        successor.follow(&table(Some(6)), UnixMs(9));
        assert_eq!(successor.read()["cart.live"].epoch, 9);
    }
}
