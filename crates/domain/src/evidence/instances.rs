//! Whose errors are these? One ill instance says little about a release.
//!
//! Requests and errors of the new release are kept by groups of instances, beside the evidence. Up to
//! [`GROUPS`] instances have a group each. A group stands out if so many of the errors are its own that
//! chance alone would seldom give any group as many.
//!
//! What makes the release worse is seen on most of its instances at the same time. So an instance's errors
//! of ten seconds count against the release up to what most instances had, and a few more: see
//! [`Instances::counting`]. An error that does not count is one event less, which lowers every e-value, so
//! that what bounds it still does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{look::Culprit, question::divergence};
use crate::{observation::InstanceId, traffic::InstanceCounts};

/// Most groups that are told apart.
const GROUPS: usize = 8;
/// A group stands out if chance gives one as many errors less often than this.
const CHANCE_MAX: f64 = 0.2;
/// It is named, even if the release is not near to being condemned, below this.
const CHANCE_NAMED: f64 = 0.001;

/// Most of the latest errors that are remembered; then half of everything is forgotten.
const LATEST_MAX: u64 = 64;

/// For how long an instance's errors are held against those of the others, in milliseconds.
const BLOCK_MS: u64 = 10_000;
/// So many earlier blocks must show the same where there are only two instances: both can be ill at once
/// by chance, but not for long.
const BLOCKS_OF_TWO: usize = 2;
/// How much more than most instances had counts.
const ON_TOP: f64 = 1.25;
/// So many standard deviations above what stable would have had, errors count in any case, and one more.
const DEVIATIONS: f64 = 2.0;
/// Errors are rare where stable's instances have fewer in a block.
const RARE: f64 = 0.03;
/// Where so large a part of the requests fails, nothing is waited for.
const OUTAGE: f64 = 0.9;

/// The instances of the new release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Instances {
    known: BTreeMap<InstanceId, Known>,
    /// The latest requests and errors of each group.
    latest: Vec<[u64; 2]>,
    /// How long the present block has lasted, in milliseconds.
    block_ms: u64,
    /// Stable's requests and errors in it.
    stable: [u64; 2],
    /// The errors that most instances had in the blocks before, the latest last.
    levels: Vec<u64>,
}

/// What each group had, and how much of it counts against the release.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Requests and errors that count, by group.
    pub(super) groups: Vec<[u64; 2]>,
    /// Errors of all instances.
    pub(super) errors: u64,
    /// How many of them do not count.
    pub(super) spared: u64,
}

/// An instance: its group, and the errors that it had lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Known {
    group: usize,
    errors: u64,
    /// Requests and errors of the present block, and how many of the errors counted.
    #[serde(default)]
    block: [u64; 2],
    #[serde(default)]
    counted: u64,
}

impl Instances {
    /// Requests that each group had in `ms`, and its errors that count against the release. Those who are
    /// gone are forgotten; later ones have their groups.
    pub(super) fn count(
        &mut self,
        counts: &BTreeMap<InstanceId, InstanceCounts>,
        stable: [u64; 2],
        ms: u64,
    ) -> Counted {
        if counts.is_empty() {
            return Counted::default();
        }
        self.known.retain(|id, _| counts.contains_key(id));
        for (id, more) in counts {
            let group = self
                .known
                .get(id)
                .map_or_else(|| self.smallest(), |it| it.group);
            let known = self.known.entry(id.clone()).or_default();
            known.group = group;
            let errors = more.errors.min(more.requests);
            // Half of what was known counts, so that it is about lately.
            known.errors = known.errors / 2 + errors;
            known.block = [known.block[0] + more.requests, known.block[1] + errors];
        }
        self.stable = [0, 1].map(|it: usize| self.stable[it].saturating_add(stable[it]));
        let most = self.counting();
        let (mut groups, mut latest) = (vec![[0; 2]; GROUPS], vec![[0; 2]; GROUPS]);
        let mut all = Counted::default();
        for (id, known) in &mut self.known {
            let Some(more) = counts.get(id) else {
                continue;
            };
            let errors = more.errors.min(more.requests);
            let counting = errors.min(most.saturating_sub(known.counted));
            known.counted += counting;
            all.errors += errors;
            all.spared += errors - counting;
            for (sums, errors) in [(&mut groups, counting), (&mut latest, errors)] {
                sums[known.group][0] += more.requests;
                sums[known.group][1] += errors;
            }
        }
        self.remember(&latest);
        self.pass(ms);
        Counted { groups, ..all }
    }

    /// How many errors of each instance count in the present block: as many as more than half of the
    /// instances had, and a quarter more, but at least what an instance like stable's seldom exceeds. One
    /// instance alone cannot be told from the release. Of two, both must have had them in the blocks before
    /// as well, unless both fail nearly always.
    fn counting(&self) -> u64 {
        let busy = self.busy();
        if busy.len() < 2 {
            return u64::MAX;
        }
        let mut level = busy.level();
        if busy.len() == 2 && (level as f64) < OUTAGE * busy.most_requests() as f64 {
            let earlier = (0..BLOCKS_OF_TWO).map(|n| self.levels.get(n).copied().unwrap_or(0));
            level = earlier.fold(level, u64::min);
        }
        let like_stable = self.like_stable(&busy);
        let seldom = like_stable + DEVIATIONS * like_stable.sqrt();
        ((level as f64 * ON_TOP).max(seldom) + 1.0) as u64
    }

    /// The errors in the present block that an instance like stable's would have had.
    fn like_stable(&self, busy: &Busy) -> f64 {
        let [requests, errors] = self.stable.map(|it| it as f64);
        busy.most_requests() as f64 * errors / requests.max(1.0)
    }

    /// The instances that are in use.
    fn busy(&self) -> Busy {
        let requests: u64 = self.known.values().map(|it| it.block[0]).sum();
        let least = requests / (4 * self.known.len() as u64).max(1);
        let blocks = self.known.values().map(|it| it.block);
        Busy(blocks.filter(|it| it[0] > 0 && it[0] >= least).collect())
    }

    /// Lets time pass: a block ends.
    fn pass(&mut self, ms: u64) {
        self.block_ms = self.block_ms.saturating_add(ms);
        if self.block_ms < BLOCK_MS {
            return;
        }
        let busy = self.busy();
        // Where errors are rare, one more than most instances had is a sign already.
        let rare = busy.len() > 1 && self.like_stable(&busy) < RARE;
        let fine = if rare { busy.level() } else { u64::MAX };
        (self.block_ms, self.stable) = (0, [0; 2]);
        self.levels.push(busy.level());
        let old = self.levels.len().saturating_sub(BLOCKS_OF_TWO);
        self.levels.drain(..old);
        for known in self.known.values_mut() {
            // Who is ill already has no more errors that count in any case.
            let ill = known.block[1] > known.counted.min(fine);
            (known.block, known.counted) = ([0; 2], u64::from(ill));
        }
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
            while let Some(group) = stands_out(&rest, CHANCE_MAX) {
                rest[group] = [0; 2];
                ill.push(group);
            }
        }
        ill.sort_unstable();
        ill.dedup();
        ill
    }

    /// What is said of the group that stands out most, by the latest errors or else since some beginning.
    pub(super) fn culprit(&self, groups: &[[u64; 2]]) -> Option<Culprit> {
        self.named(&self.latest, CHANCE_MAX)
            .or_else(|| self.named(groups, CHANCE_MAX))
    }

    /// The same of a group whose latest errors can hardly be chance.
    pub(super) fn culprit_lately(&self) -> Option<Culprit> {
        self.named(&self.latest, CHANCE_NAMED)
    }

    fn named(&self, counted: &[[u64; 2]], chance_max: f64) -> Option<Culprit> {
        let group = stands_out(counted, chance_max)?;
        Some(Culprit {
            instance: self.worst_of(group)?.to_string(),
            errors: counted[group][1],
            of: counted.iter().map(|it| it[1]).sum(),
        })
    }
}

/// Requests and errors of instances in one block.
struct Busy(Vec<[u64; 2]>);

impl Busy {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn most_requests(&self) -> u64 {
        self.0.iter().map(|it| it[0]).max().unwrap_or(0)
    }

    /// As many errors as more than half of the instances had, both of two; 0 of one instance.
    fn level(&self) -> u64 {
        let mut errors: Vec<u64> = self.0.iter().map(|it| it[1]).collect();
        errors.sort_unstable();
        let less = errors.len().checked_sub(2);
        less.map_or(0, |less| errors[less / 2])
    }
}

/// The group that had far more of the errors than of the requests. One instance alone cannot be told from
/// the release.
fn stands_out(groups: &[[u64; 2]], chance_max: f64) -> Option<usize> {
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
    (chance < chance_max).then_some(group)
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
            let groups = instances.count(&counted(counts), [0; 2], 1000).groups;
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
        let groups = instances.count(&all, [0; 2], 1000).groups;
        assert_eq!(groups.len(), GROUPS);
        assert!(
            groups
                .iter()
                .all(|[requests, _]| [20, 30].contains(requests))
        );
        let mut later = all.clone();
        let nineteenth = InstanceId("i-18".to_owned());
        later.entry(nineteenth).and_modify(|it| it.errors = 10);
        let groups = instances.count(&later, [0; 2], 1000).groups;
        let found = instances.culprit(&groups).expect("one stands out");
        assert_eq!(found.instance, "i-18");
        let ill = stands_out(&instances.latest, CHANCE_MAX);
        // The others are gone; the group stays.
        later.retain(|id, _| id.0 == "i-18");
        let group = instances
            .count(&later, [0; 2], 1000)
            .groups
            .iter()
            .position(|it| it[0] > 0);
        assert_eq!(group, ill);
    }

    #[test]
    fn instances_that_are_ill_one_after_the_other_are_all_left_out() {
        let mut instances = Instances::default();
        let first = instances
            .count(
                &counted(&[(100, 60), (100, 1), (100, 1), (100, 0)]),
                [0; 2],
                1000,
            )
            .groups;
        let then = instances
            .count(
                &counted(&[(100, 1), (100, 0), (100, 50), (100, 1)]),
                [0; 2],
                1000,
            )
            .groups;
        let mut both = first;
        for (all, more) in both.iter_mut().zip(&then) {
            *all = [all[0] + more[0], all[1] + more[1]];
        }
        assert_eq!(instances.ill(&both), [0, 2]);
    }

    /// How many errors count of blocks of ten seconds, in which stable has 1 % of errors.
    fn counting(blocks: &[&[(u64, u64)]]) -> Vec<u64> {
        let mut instances = Instances::default();
        let of_one = |block: &&[(u64, u64)]| {
            let all = instances.count(&counted(block), [10_000, 100], BLOCK_MS);
            let of_groups: u64 = all.groups.iter().map(|it| it[1]).sum();
            assert_eq!(of_groups + all.spared, all.errors);
            of_groups
        };
        blocks.iter().map(of_one).collect()
    }

    #[test]
    fn a_burst_of_one_instance_hardly_counts_and_a_fault_of_most_does() {
        // Stable would have one error, and seldom more than three.
        let ill = [(100, 30), (100, 1), (100, 0), (100, 2)];
        assert_eq!(counting(&[&ill]), [4 + 3]);
        let two_ill = [(100, 30), (100, 30), (100, 0), (100, 2)];
        assert_eq!(counting(&[&two_ill]), [4 + 4 + 2]);
        let all_ill = [(100, 30), (100, 25), (100, 20), (100, 35)];
        assert_eq!(counting(&[&all_ill]), [30 + 25 + 20 + 32]);
        // One instance alone cannot be told from the release; idle ones do not change that.
        assert_eq!(counting(&[&[(100, 30)]]), [30]);
        assert_eq!(counting(&[&[(100, 30), (0, 0), (1, 0)]]), [30]);
        // A few errors count, whoever has them.
        assert_eq!(counting(&[&[(2, 2), (1, 0), (1, 1)]]), [2]);
    }

    #[test]
    fn two_instances_that_are_ill_together_count_once_it_lasts() {
        let both: &[(u64, u64)] = &[(100, 30), (100, 30)];
        assert_eq!(counting(&[both; 4]), [8, 6, 60, 60]);
        let one: &[(u64, u64)] = &[(100, 30), (100, 1)];
        assert_eq!(counting(&[one; 4]), [5, 4, 4, 4]);
        let dead: &[(u64, u64)] = &[(100, 95), (100, 98)];
        assert_eq!(counting(&[dead]), [95 + 98]);
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
