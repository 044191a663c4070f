//! Whose errors are these? One ill instance says little about a release.
//!
//! Requests and errors of the new release are kept by groups of instances, beside the evidence. Up to
//! [`GROUPS`] instances have a group each. A group stands out if so many of the errors are its own that
//! chance alone would seldom give any group as many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{look::Culprit, question::divergence};
use crate::{observation::InstanceId, traffic::InstanceCounts};

/// Most groups that are told apart.
const GROUPS: usize = 8;
/// A group stands out if chance gives one as many errors less often than this.
const CHANCE_MAX: f64 = 0.2;

/// Most of the latest errors that are remembered; then half of everything is forgotten.
const LATEST_MAX: u64 = 32;

/// The instances of the new release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Instances {
    known: BTreeMap<InstanceId, Known>,
    /// The latest requests and errors of each group.
    latest: Vec<[u64; 2]>,
}

/// An instance: its group, and the errors that it had lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Known {
    group: usize,
    errors: u64,
}

impl Instances {
    /// Requests and errors that each group had meanwhile. Those who are gone are forgotten; later ones have
    /// their groups.
    pub(super) fn by_group(
        &mut self,
        counted: &BTreeMap<InstanceId, InstanceCounts>,
    ) -> Vec<[u64; 2]> {
        if counted.is_empty() {
            return Vec::new();
        }
        self.known.retain(|id, _| counted.contains_key(id));
        let mut groups = vec![[0; 2]; GROUPS];
        for (id, counts) in counted {
            let group = self
                .known
                .get(id)
                .map_or_else(|| self.smallest(), |it| it.group);
            let known = self
                .known
                .entry(id.clone())
                .or_insert(Known { group, errors: 0 });
            let errors = counts.errors.min(counts.requests);
            // Half of what was known counts, so that it is about lately.
            known.errors = known.errors / 2 + errors;
            groups[group][0] += counts.requests;
            groups[group][1] += errors;
        }
        self.remember(&groups);
        groups
    }

    fn remember(&mut self, groups: &[[u64; 2]]) {
        self.latest.resize(GROUPS, [0; 2]);
        for (all, more) in self.latest.iter_mut().zip(groups) {
            *all = [0, 1].map(|it: usize| all[it].saturating_add(more[it]));
        }
        while self.latest.iter().map(|it| it[1]).sum::<u64>() > LATEST_MAX {
            let halves = self.latest.iter_mut();
            halves.for_each(|it| *it = it.map(|n| n / 2));
        }
    }

    /// The group with the fewest instances.
    fn smallest(&self) -> usize {
        let size = |group: &usize| self.known.values().filter(|it| it.group == *group).count();
        (0..GROUPS).min_by_key(size).unwrap_or(0)
    }

    /// The instance of a group that had most errors lately.
    fn worst_of(&self, group: usize) -> Option<&InstanceId> {
        let mine = self.known.iter().filter(|(_, it)| it.group == group);
        mine.max_by_key(|(_, it)| it.errors).map(|(id, _)| id)
    }

    /// The groups that had far more of the errors than of the requests, one after the other, also lately;
    /// `groups` are requests and errors. Several instances can be ill one after the other, and the release
    /// is not.
    pub(super) fn ill(&self, groups: &[[u64; 2]]) -> Vec<usize> {
        let mut ill = Vec::new();
        for counted in [groups, &self.latest] {
            let mut rest = counted.to_vec();
            while let Some(group) = stands_out(&rest) {
                rest[group] = [0; 2];
                ill.push(group);
            }
        }
        ill.sort_unstable();
        ill.dedup();
        ill
    }

    /// What is said of the group that stands out most.
    pub(super) fn culprit(&self, groups: &[[u64; 2]]) -> Option<Culprit> {
        let counted = [groups, &self.latest].into_iter();
        counted
            .filter_map(|counted| {
                let group = stands_out(counted)?;
                Some(Culprit {
                    instance: self.worst_of(group)?.to_string(),
                    errors: counted[group][1],
                    of: counted.iter().map(|it| it[1]).sum(),
                })
            })
            .next()
    }
}

/// The group that had far more of the errors than of the requests. One instance alone cannot be told from
/// the release.
fn stands_out(groups: &[[u64; 2]]) -> Option<usize> {
    let present = groups.iter().filter(|[requests, _]| *requests > 0).count();
    let sum = |of: usize| groups.iter().map(|it| it[of]).sum::<u64>();
    let (requests, errors) = (sum(0), sum(1));
    if present < 2 || errors == 0 {
        return None;
    }
    let part = |[mine, _]: &[u64; 2]| *mine as f64 / requests as f64;
    let excess = |it: &[u64; 2]| it[1] as f64 - errors as f64 * part(it);
    let (group, worst) = groups
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, other)| excess(one).total_cmp(&excess(other)))?;
    let chance = present as f64 * at_least(worst[1], errors, part(worst));
    (chance < CHANCE_MAX).then_some(group)
}

/// The chance of at least `k` of `n`, each with the chance `p`; of many, a bound of it.
fn at_least(k: u64, n: u64, p: f64) -> f64 {
    const EXACT_MAX: u64 = 1000;
    if k == 0 || p >= 1.0 {
        return 1.0;
    }
    if n > EXACT_MAX {
        let nats = n as f64 * divergence(k as f64 / n as f64, p);
        return if k as f64 > n as f64 * p {
            (-nats).exp()
        } else {
            1.0
        };
    }
    let choose = |k: u64| -> f64 { (0..k).map(|i| ((n - i) as f64 / (k - i) as f64).ln()).sum() };
    let ln_chance = |k: u64| choose(k) + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln();
    (k..=n).map(|k| ln_chance(k).exp()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &[(u64, u64)]) -> BTreeMap<InstanceId, InstanceCounts> {
        let counts = counts.iter().enumerate();
        counts
            .map(|(n, (requests, errors))| {
                let counts = InstanceCounts {
                    requests: *requests,
                    errors: *errors,
                };
                (InstanceId(format!("i-{n:02}")), counts)
            })
            .collect()
    }

    #[test]
    fn an_instance_stands_out_by_its_errors() {
        let named = |counts: &[(u64, u64)]| {
            let mut instances = Instances::default();
            let groups = instances.by_group(&counted(counts));
            let found = instances.culprit(&groups)?;
            Some((found.instance, found.errors, found.of))
        };
        let eight = |errors: [u64; 8]| errors.map(|errors| (100, errors));
        let first = |errors, of| Some(("i-00".to_owned(), errors, of));
        assert_eq!(named(&eight([31, 1, 0, 1, 0, 0, 1, 0])), first(31, 34));
        assert_eq!(named(&eight([3, 1, 0, 0, 0, 0, 0, 0])), first(3, 4));
        for spread in [
            vec![],
            vec![(100, 50)],
            vec![(100, 0), (100, 0)],
            vec![(10, 3), (10, 0)],
            eight([5, 4, 6, 3, 5, 4, 5, 6]).to_vec(),
            eight([500, 510, 490, 520, 480, 500, 505, 495]).to_vec(),
            // It has most of the requests too.
            vec![(900, 9), (100, 1)],
        ] {
            assert_eq!(named(&spread), None, "{spread:?}");
        }
    }

    #[test]
    fn many_instances_share_groups_and_keep_them() {
        let mut instances = Instances::default();
        let all = counted(&[(10, 1); 20]);
        let groups = instances.by_group(&all);
        assert_eq!(groups.len(), GROUPS);
        assert!(
            groups
                .iter()
                .all(|[requests, _]| [20, 30].contains(requests))
        );
        let mut later = all.clone();
        let nineteenth = InstanceId("i-18".to_owned());
        later.entry(nineteenth).and_modify(|it| it.errors = 10);
        let groups = instances.by_group(&later);
        let found = instances.culprit(&groups).expect("one stands out");
        assert_eq!(found.instance, "i-18");
        let ill = stands_out(&groups);
        // The others are gone; the group stays.
        later.retain(|id, _| id.0 == "i-18");
        let group = instances.by_group(&later).iter().position(|it| it[0] > 0);
        assert_eq!(group, ill);
    }

    #[test]
    fn instances_that_are_ill_one_after_the_other_are_all_left_out() {
        let mut instances = Instances::default();
        let first = instances.by_group(&counted(&[(100, 60), (100, 1), (100, 1), (100, 0)]));
        let then = instances.by_group(&counted(&[(100, 1), (100, 0), (100, 50), (100, 1)]));
        let mut both = first;
        for (all, more) in both.iter_mut().zip(&then) {
            *all = [all[0] + more[0], all[1] + more[1]];
        }
        assert_eq!(instances.ill(&both), [0, 2]);
    }

    #[test]
    fn a_chance_is_what_a_table_says() {
        for (k, n, p, expected) in [(3, 3, 0.5, 0.125), (1, 2, 0.5, 0.75), (0, 9, 0.1, 1.0)] {
            assert!((at_least(k, n, p) - expected).abs() < 1e-9, "{k} of {n}");
        }
        assert!(at_least(700, 2000, 0.3) < 1e-4);
        assert!(at_least(600, 2000, 0.3) >= 0.5);
    }
}
