//! Who stays when a group shrinks. Providers choose by their own rules (on AWS: zone balance first,
//! then a policy), so the ones that must stay are protected and nobody else is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    effect::{Effect, PROTECT_IDS_MAX},
    observation::{Instance, InstanceId, InstanceState, SliceSeen, count},
    release::LaunchId,
    slice::Slice,
};

/// Picks at most `many` of `candidates`: healthy before pending before unhealthy, then so that zones
/// stay even, then those that are protected already, then by id, so that every turn picks the same.
pub(super) fn pick<'a>(
    candidates: impl Iterator<Item = &'a Instance>,
    many: u32,
) -> BTreeSet<InstanceId> {
    let mut ranked: Vec<&Instance> = candidates.collect();
    ranked.sort_by_key(|i| (rank(i.state), !i.protected, &i.id));
    let mut per_zone: BTreeMap<(u8, &str), u32> = BTreeMap::new();
    let mut rows: Vec<(u8, bool, u32, &InstanceId)> = Vec::new();
    for instance in ranked {
        let nth = per_zone
            .entry((rank(instance.state), &instance.zone))
            .or_default();
        *nth += 1;
        rows.push((
            rank(instance.state),
            !instance.protected,
            *nth,
            &instance.id,
        ));
    }
    rows.sort_unstable();
    rows.into_iter()
        .take(many as usize)
        .map(|(.., id)| id.clone())
        .collect()
}

/// Those that stay when there are too many: healthy ones first, of the wanted launch where there is
/// a choice. Losing the release that was wanted is bad; losing the last healthy instance is worse.
pub(super) fn healthiest(
    seen: &SliceSeen,
    wanted: Option<&LaunchId>,
    many: u32,
) -> BTreeSet<InstanceId> {
    let healthy = |i: &&Instance| i.state == InstanceState::Healthy;
    let is_wanted = |i: &&Instance| Some(&i.launch) == wanted;
    let mut stay = pick(seen.present().filter(healthy).filter(is_wanted), many);
    for any in [false, true] {
        let room = many.saturating_sub(count(stay.iter()));
        let more = seen
            .present()
            .filter(|i| !stay.contains(&i.id) && (any || healthy(i)));
        let more = pick(more, room);
        stay.extend(more);
    }
    stay
}

fn rank(state: InstanceState) -> u8 {
    match state {
        InstanceState::Healthy => 0,
        InstanceState::Pending => 1,
        InstanceState::Unhealthy => 2,
        InstanceState::Draining | InstanceState::Terminating => 3,
    }
}

/// The next request that makes exactly `protected` of the present instances protected: first those
/// that must stay, then the others, so that nobody who must stay is ever exposed in between.
pub(super) fn protect_exactly(
    slice: Slice,
    seen: &SliceSeen,
    protected: &BTreeSet<InstanceId>,
) -> Option<Effect> {
    let differing = |wanted: bool| -> Vec<InstanceId> {
        seen.present()
            .filter(|i| protected.contains(&i.id) == wanted && i.protected != wanted)
            .map(|i| i.id.clone())
            .take(PROTECT_IDS_MAX)
            .collect()
    };
    [true, false]
        .into_iter()
        .map(|protected| (protected, differing(protected)))
        .find(|(_, instances)| !instances.is_empty())
        .map(|(protected, instances)| Effect::SetProtection {
            slice,
            instances,
            protected,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMs;

    fn instance(id: &str, zone: &str, state: InstanceState, protected: bool) -> Instance {
        Instance {
            id: InstanceId(id.to_owned()),
            launch: LaunchId("v1".to_owned()),
            version: "1".parse().unwrap(),
            zone: zone.to_owned(),
            state,
            protected,
            started_at: UnixMs(0),
        }
    }

    fn check(candidates: &[Instance], many: u32, expected: &[&str]) {
        let picked = pick(candidates.iter(), many);
        let picked: Vec<&str> = picked.iter().map(|id| id.0.as_str()).collect();
        assert_eq!(picked, expected);
    }

    #[test]
    fn picks_the_healthy_before_all_others() {
        use InstanceState::{Healthy, Pending, Unhealthy};
        let there = [
            instance("a", "1", Unhealthy, true),
            instance("b", "1", Pending, false),
            instance("c", "1", Healthy, false),
        ];
        check(&there, 1, &["c"]);
        check(&there, 2, &["b", "c"]);
        check(&there, 9, &["a", "b", "c"]);
    }

    #[test]
    fn keeps_zones_even_and_the_choice_steady() {
        use InstanceState::Healthy;
        let there = ["a", "b", "c"].map(|id| instance(id, "1", Healthy, false));
        let there = [&there[..], &[instance("d", "2", Healthy, false)]].concat();
        check(&there, 2, &["a", "d"]);
        let mut again = there;
        again[1].protected = true;
        check(&again, 1, &["b"]);
    }
}
