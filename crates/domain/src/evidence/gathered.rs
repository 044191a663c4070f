//! What stretches add up to: counts, and the logarithms of likelihood ratios. Stored as a list of numbers,
//! because there are many of them and a record is saved at each look.
//!
//! Invariant: sums of stretches that have both sides; two of them can be subtracted, so that what came
//! since any moment is known from a copy of that moment.

use serde::{Deserialize, Serialize};

use super::{Arm, MILLION, NANO, RATIOS, ln_mean_exp, nano_down};

/// One stretch as one yes/no question sees it: the new release first, then stable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// How many were seen.
    pub(super) counted: [u64; 2],
    /// Events in thousandths: some requests are events only in part, as if a coin had been tossed for each.
    /// Everything that is summed up here is convex in the number of events, so it is at most what coins
    /// would give on average (Jensen), and what holds for coins holds for parts.
    pub(super) parts: [u64; 2],
    /// How many of the new release's events do not count against it, in thousandths.
    pub(super) spared: u64,
    /// How many could have had an event: requests, or users who had none yet.
    pub(super) at_risk: [u64; 2],
}

impl Seen {
    /// Every request can have an event.
    pub(super) fn of_requests(new: Arm, stable: Arm) -> Self {
        let requests = [new.requests, stable.requests];
        Self::of_users([new, stable], requests)
    }

    /// The same, with events in thousandths.
    pub(super) fn of_parts(requests: [u64; 2], parts: [u64; 2]) -> Self {
        Self {
            counted: requests,
            parts,
            spared: 0,
            at_risk: requests,
        }
    }

    /// Users that were seen for the first time, and had their first event, of so many at risk. Counters are
    /// read one after the other, so that an event may be seen before its request.
    pub(super) fn of_users(sides: [Arm; 2], at_risk: [u64; 2]) -> Self {
        let parts = |side: usize| sides[side].events.min(at_risk[side]).saturating_mul(1000);
        Self {
            counted: sides.map(|side| side.requests),
            parts: [parts(0), parts(1)],
            spared: 0,
            at_risk,
        }
    }

    /// Of `errors` of the new release, `spared` do not count against it. They are still held against "not
    /// worse", and shown.
    pub(super) fn spare(&mut self, spared: u64, errors: u64) {
        let spared = u128::from(self.parts[0]) * u128::from(spared);
        let spared = spared.div_ceil(u128::from(errors.max(1)));
        self.spared = u64::try_from(spared).map_or(self.parts[0], |it| it.min(self.parts[0]));
    }

    /// Both sides had somebody: otherwise nothing can be compared.
    pub(super) fn compares(&self) -> bool {
        self.at_risk.iter().all(|n| *n > 0)
    }

    /// How many of the new release's were at risk for each of stable's.
    pub(super) fn odds(&self) -> f64 {
        self.at_risk[0] as f64 / self.at_risk[1] as f64
    }

    /// Events of the new release and of stable.
    pub(super) fn events(&self) -> [f64; 2] {
        self.parts.map(|parts| parts as f64 / 1000.0)
    }

    /// One side.
    pub(super) fn arm(&self, side: usize) -> Arm {
        Arm {
            requests: self.counted[side],
            events: self.parts[side] / 1000,
        }
    }
}

/// What was gathered in stretches in which both sides had requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<i64>", into = "Vec<i64>")]
pub(super) struct Gathered {
    /// How many were seen of the new release and of stable.
    counted: [u64; 2],
    /// Their events, in thousandths.
    parts: [u64; 2],
    /// Events that the new release's requests would have had at stable's rates of the same stretches, in
    /// millionths.
    expected_micro: u64,
    /// Per ratio: the logarithm of the likelihood ratio against "no worse", in nano-nats.
    pub(super) worse: [i64; RATIOS.len()],
    /// Requests of the new release by group of instances, and the errors that count against it, where they
    /// are known.
    groups: Vec<[u64; 2]>,
}

impl Gathered {
    /// Says which of the new release's requests and errors each group of instances had.
    pub(super) fn add_groups(&mut self, groups: &[[u64; 2]]) {
        if self.groups.len() < groups.len() {
            self.groups.resize(groups.len(), [0; 2]);
        }
        for (all, more) in self.groups.iter_mut().zip(groups) {
            *all = [0, 1].map(|it: usize| all[it].saturating_add(more[it]));
        }
    }

    /// Requests and errors by group of instances.
    pub(super) fn groups(&self) -> &[[u64; 2]] {
        &self.groups
    }

    pub(super) fn add(&mut self, seen: &Seen) {
        for side in [0, 1] {
            self.counted[side] = self.counted[side].saturating_add(seen.counted[side]);
            self.parts[side] = self.parts[side].saturating_add(seen.parts[side]);
        }
        let [a, b] = seen.at_risk.map(u128::from);
        let expected = u128::from(seen.parts[1]) * 1000 * a / b.max(1);
        let expected = u64::try_from(expected).unwrap_or(u64::MAX);
        self.expected_micro = self.expected_micro.saturating_add(expected);

        let [mut c, d] = seen.events();
        c -= seen.spared as f64 / 1000.0;
        let share = a as f64 / (a + b) as f64;
        for (sum, ratio) in self.worse.iter_mut().zip(RATIOS) {
            let happened = c * ratio.ln();
            let chance = (c + d) * (share * (ratio - 1.0)).ln_1p();
            *sum = sum.saturating_add(nano_down(happened - chance, happened + chance));
        }
    }

    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut worse = self.worse;
        for (sum, before) in worse.iter_mut().zip(earlier.worse) {
            *sum = sum.saturating_sub(before);
        }
        Self {
            counted: less(self.counted, earlier.counted),
            parts: less(self.parts, earlier.parts),
            expected_micro: self.expected_micro.saturating_sub(earlier.expected_micro),
            worse,
            groups: self
                .groups
                .iter()
                .enumerate()
                .map(|(at, now)| less(*now, earlier.groups.get(at).copied().unwrap_or_default()))
                .collect(),
        }
    }

    /// How many of the new release's were seen.
    pub(super) fn requests(&self) -> u64 {
        self.counted[0]
    }

    /// The new release's events.
    pub(super) fn events(&self) -> f64 {
        self.parts[0] as f64 / 1000.0
    }

    /// The new release's side.
    pub(super) fn new_side(&self) -> Arm {
        Arm {
            requests: self.counted[0],
            events: self.parts[0] / 1000,
        }
    }

    /// The new release's rate.
    pub(super) fn new_rate(&self) -> f64 {
        self.events() / (self.counted[0] as f64).max(1.0)
    }

    /// Stable's rate, weighed by the new release's requests.
    pub(super) fn stable_rate(&self) -> f64 {
        self.expected_micro as f64 / MILLION / (self.counted[0] as f64).max(1.0)
    }

    /// The measured difference of the rates, new less stable.
    pub(super) fn difference(&self) -> f64 {
        self.new_rate() - self.stable_rate()
    }

    /// The logarithm of the e-value against "no worse": the mean over the ratios from `least` on.
    pub(super) fn ln_e(&self, least: usize) -> f64 {
        ln_mean_exp(&self.worse.map(|sum| sum as f64 / NANO)[least..])
    }

    /// The same without some groups of instances: their errors never happened, and their requests were
    /// never made. The share of the new release is taken to have been the same all the time.
    pub(super) fn without(&self, groups: &[usize]) -> Self {
        let groups = || groups.iter().filter_map(|group| self.groups.get(*group));
        let gone: u64 = groups().map(|it| it[0]).sum();
        let gone_events: u64 = groups().map(|it| it[1]).sum();
        let mut rest = self.clone();
        rest.counted[0] = self.counted[0].saturating_sub(gone);
        rest.parts[0] = self.parts[0].saturating_sub(gone_events.saturating_mul(1000));
        let left = rest.counted[0] as f64 / (self.counted[0] as f64).max(1.0);
        rest.expected_micro = (self.expected_micro as f64 * left) as u64;
        let stable = self.counted[1] as f64;
        let share = |new: u64| new as f64 / (new as f64 + stable).max(1.0);
        let (before, after) = (share(self.counted[0]), share(rest.counted[0]));
        // Errors that never counted add nothing.
        let counting: u64 = self.groups.iter().map(|it| it[1]).sum();
        let counting = (counting.saturating_sub(gone_events) as f64).min(rest.events());
        let events = counting + self.parts[1] as f64 / 1000.0;
        for (sum, ratio) in rest.worse.iter_mut().zip(RATIOS) {
            let chance = |share: f64| (share * (ratio - 1.0)).ln_1p();
            let happened = gone_events as f64 * (ratio.ln() - chance(before));
            let fewer = events * (chance(before) - chance(after));
            *sum = sum.saturating_add(nano_down(fewer - happened, fewer + happened));
        }
        rest
    }
}

fn less(now: [u64; 2], earlier: [u64; 2]) -> [u64; 2] {
    [0, 1].map(|side: usize| now[side].saturating_sub(earlier[side]))
}

impl From<Gathered> for Vec<i64> {
    fn from(it: Gathered) -> Self {
        let counts = [it.counted, it.parts].concat();
        let counts = counts.into_iter().chain([it.expected_micro]);
        let groups = it.groups.into_iter().flatten();
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let counts = counts.map(number).chain(it.worse);
        counts.chain(groups.map(number)).collect()
    }
}

impl From<Vec<i64>> for Gathered {
    fn from(numbers: Vec<i64>) -> Self {
        let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
        let count = |at: usize| u64::try_from(number(at)).unwrap_or(0);
        let mut worse = [0; RATIOS.len()];
        (5..)
            .zip(&mut worse)
            .for_each(|(at, sum)| *sum = number(at));
        let groups = (5 + RATIOS.len()..numbers.len()).step_by(2);
        Self {
            counted: [count(0), count(1)],
            parts: [count(2), count(3)],
            expected_micro: count(4),
            worse,
            groups: groups.map(|at| [count(at), count(at + 1)]).collect(),
        }
    }
}
