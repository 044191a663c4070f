//! What the router counted, as an observation shows it.

use domain::{observation::Observation, traffic::Traffic};

use crate::{
    group::Group,
    routing::wire::{Reading, SliceReading},
};

/// Adds to an observation of a place what was counted there.
pub(super) fn show(reading: &Reading, place: &str, group: &Group, seen: &mut Observation) {
    let slices = group.slices.iter().map(|(slice, slot)| {
        let mut counted = reading.slices.iter();
        let counted = counted.find(|it| it.place == place && it.slice == *slice);
        let sticks = group.settings.stickiness.is_some();
        let present = slot.members.iter().filter(|m| m.state.is_present());
        let traffic = Traffic {
            users: counted.filter(|_| sticks).map(|it| it.users),
            instances: present
                .filter_map(|member| {
                    let counts = reading.instances.get(&member.id)?.counts;
                    Some((member.id.clone(), counts))
                })
                .collect(),
            ..counted
                .map(SliceReading::sum)
                .unwrap_or_default()
                .traffic(reading.epoch)
        };
        (*slice, traffic)
    });
    seen.traffic = slices.collect();
    seen.mirror.clone_from(&group.mirror);
    seen.mirrored = reading.mirrored.get(place).cloned();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::{catalogue::ServerGroup, slice::Slice, time::UnixMs, traffic::UserCounts};
    use router::Counts;

    use super::*;

    #[test]
    fn users_are_shown_where_they_stick() {
        let settings: ServerGroup = serde_json::from_str(
            r#"{"service":"cart","environment":"live","size":2,
                "stickiness":{"by":"cookie","seconds":60}}"#,
        )
        .unwrap();
        let mut group = Group::new(settings.place(), settings);
        group.slices.entry(Slice::Blue).or_default();
        let users = UserCounts {
            seen: 3,
            failed: 1,
            client_failed: 2,
        };
        let past = Counts {
            classes: [0, 5, 0, 2, 1],
            abandoned: 4,
            ..Counts::default()
        };
        let reading = Reading {
            epoch: 7,
            slices: vec![SliceReading {
                place: "cart.live".to_owned(),
                slice: Slice::Blue,
                past: past.clone(),
                releases: BTreeMap::from([("1.0.0".parse().unwrap(), past)]),
                users,
            }],
            ..Reading::default()
        };
        let shown = |group: &Group| {
            let mut seen = group.look(UnixMs(9));
            show(&reading, "cart.live", group, &mut seen);
            seen.traffic[&Slice::Blue].clone()
        };
        let traffic = shown(&group);
        assert_eq!(
            (traffic.epoch, traffic.requests, traffic.errors),
            (7, 24, 2)
        );
        assert_eq!((traffic.client_errors, traffic.abandoned), (4, 8));
        assert_eq!(traffic.users, Some(users));
        group.settings.stickiness = None;
        assert_eq!(shown(&group).users, None);
    }
}
