//! One yes/no question about two sides, gathered over time and from several beginnings.
//!
//! An e-value is 1 before it begins, so a fixed average of e-values that begin at moments that were
//! chosen beforehand has a mean of at most 1. Of the weight, three quarters are the first look's, an
//! eighth belongs to the shares of users that follow and an eighth to the minutes; the `n`-th of a kind
//! has `1 / (n (n + 1))` of it, which adds up to all of it. Nothing is lost by keeping only some: one
//! that is left out counts as 0, which is less than it is.
//!
//! Invariant: weights of everything that ever began, and of all that is yet to begin, add up to 1.

use serde::{Deserialize, Serialize};

use super::{
    Arm, NANO, STRENGTHS,
    gathered::{Gathered, Seen},
    ln_sum_exp, nano_down,
};

/// The weight of what begins with the first look.
const FIRST: f64 = 0.75;
/// The weight of the shares of users after the first one, and of the minutes.
const LATER: f64 = 0.125;
/// Most beginnings that are kept besides the first look's and the present share's.
const KEPT: usize = 6;

/// A yes/no comparison of two sides, gathered over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Everything that each side had.
    new: Arm,
    stable: Arm,
    /// What can be compared, from the first look on.
    all: Gathered,
    /// Per strength: the sum of `k d`, in nano-nats.
    not_worse: [i64; STRENGTHS.len()],
    /// Where the present share of users began, unless it is the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Beginning>,
    /// Other beginnings, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Beginning>,
    /// How many shares began after the first, and how many minutes.
    shares: u32,
    minutes: u32,
    /// Where every share of users is judged on its own: which one this is, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    alone: Option<u32>,
}

/// A moment from which on evidence is judged on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Beginning {
    /// Which one of its kind, from 1.
    nth: u32,
    /// What had been gathered before.
    before: Gathered,
}

impl Beginning {
    fn ln_weight(&self) -> f64 {
        let n = f64::from(self.nth);
        (LATER / (n * (n + 1.0))).ln()
    }
}

impl Evidence {
    /// Takes one stretch into account. A stretch in which one side had no requests compares nothing.
    ///
    /// `growth` is the part of stable's rate that is allowed on top of it, 0.5 for a half. A stretch
    /// should end where the share of the new release changes.
    pub fn add(&mut self, new: Arm, stable: Arm, growth: f64) {
        self.add_seen(&Seen::of_requests(new, stable), growth);
    }

    pub(super) fn add_seen(&mut self, seen: &Seen, growth: f64) {
        self.new = self.new.plus(seen.arm(0));
        self.stable = self.stable.plus(seen.arm(1));
        if !seen.compares() {
            return;
        }
        self.all.add(seen);
        let (odds, d) = (seen.odds() * (1.0 + growth), seen.events()[1]);
        for (sum, strength) in self.not_worse.iter_mut().zip(STRENGTHS) {
            let gained = d * (strength * odds).ln_1p();
            *sum = sum.saturating_add(nano_down(gained, gained));
        }
    }

    /// Says which of the new release's requests and errors each group of instances had, in what is compared.
    pub(super) fn add_groups(&mut self, groups: &[[u64; 2]]) {
        self.all.add_groups(groups);
    }

    /// Another share of users begins.
    pub fn begin_share(&mut self) {
        let present = self.since_share();
        if present.requests() == 0 {
            return;
        }
        self.others.extend(self.share.take());
        self.keep_few();
        self.shares += 1;
        self.share = Some(Beginning {
            nth: self.shares,
            before: self.all.clone(),
        });
    }

    /// Another share of users begins, and is judged on its own: what is known of users who stick to a
    /// slice is known of the next share already.
    pub(super) fn begin_alone(&mut self) {
        let next = self.alone.map_or(0, |before| before + 1);
        *self = Self {
            alone: Some(next),
            ..Self::default()
        };
    }

    /// A minute is over. Without anything to compare since the last beginning, none is needed.
    pub fn begin_minute(&mut self) {
        let last = self.others.iter().chain(&self.share);
        let known = last.map(|one| one.before.requests()).max().unwrap_or(0);
        if self.all.requests() == known {
            return;
        }
        self.minutes += 1;
        self.others.push(Beginning {
            nth: self.minutes,
            before: self.all.clone(),
        });
        self.keep_few();
    }

    /// Leaves out the beginning that says least. The newest one has had no time yet.
    fn keep_few(&mut self) {
        if self.others.len() <= KEPT {
            return;
        }
        let older = &self.others[..self.others.len() - 1];
        let worth = |one: &Beginning| one.ln_weight() + self.all.since(&one.before).ln_e(0);
        let worths = older.iter().map(worth).enumerate();
        if let Some((least, _)) = worths.min_by(|(_, x), (_, y)| x.total_cmp(y)) {
            self.others.remove(least);
        }
    }

    /// Everything that the new release had.
    #[must_use]
    pub fn new_side(&self) -> Arm {
        self.new
    }

    /// Everything that stable had.
    #[must_use]
    pub fn stable_side(&self) -> Arm {
        self.stable
    }

    /// How many shares of users were begun after the first one.
    pub(super) fn later_shares(&self) -> u32 {
        self.alone.unwrap_or(self.shares)
    }

    /// What can be compared, from the first look on.
    pub(super) fn all(&self) -> &Gathered {
        &self.all
    }

    /// What was gathered at the present share of users.
    pub(super) fn since_share(&self) -> Gathered {
        match &self.share {
            Some(share) => self.all.since(&share.before),
            None => self.all.clone(),
        }
    }

    /// Per strength: the sum of `k d`, in nats.
    pub(super) fn not_worse(&self) -> [f64; STRENGTHS.len()] {
        self.not_worse.map(|sum| sum as f64 / NANO)
    }

    /// From every beginning that is kept: the logarithm of its weight, and what was gathered since.
    pub(super) fn since_beginnings(&self) -> impl Iterator<Item = (f64, Gathered)> + Clone {
        let alone = self.ln_alone();
        let later = self.share.iter().chain(&self.others);
        let later = later.map(|one| (one.ln_weight(), self.all.since(&one.before)));
        std::iter::once((FIRST.ln(), self.all.clone()))
            .chain(later)
            .map(move |(ln_weight, since)| (ln_weight + alone, since))
    }

    /// The logarithm of the weight of everything that is yet to begin.
    fn ln_unbegun(&self) -> f64 {
        let left = |begun: u32| LATER / (f64::from(begun) + 1.0);
        (left(self.shares) + left(self.minutes)).ln()
    }

    /// The logarithm of the weight of a share that is judged on its own, so that all of them together may
    /// be wrong no more often than one.
    fn ln_alone(&self) -> f64 {
        self.alone.map_or(0.0, |n| {
            let n = f64::from(n);
            -((n + 1.0) * (n + 2.0)).ln()
        })
    }

    /// The logarithm of the average e-value, over the ratios from `least` on. It is 0 at first.
    pub(super) fn ln_average(&self, least: usize) -> f64 {
        let begun = self
            .since_beginnings()
            .map(|(ln_weight, since)| ln_weight + since.ln_e(least));
        let unbegun = self.ln_unbegun() + self.ln_alone();
        ln_sum_exp(begun.chain(std::iter::once(unbegun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(shares: u32, minutes: u32) -> Evidence {
        let mut evidence = Evidence::default();
        let arm = |requests| Arm {
            requests,
            events: 0,
        };
        for n in 0..shares.max(minutes) {
            evidence.add(arm(1), arm(1), 0.0);
            if n < minutes {
                evidence.begin_minute();
            }
            evidence.add(arm(1), arm(1), 0.0);
            if n < shares {
                evidence.begin_share();
            }
        }
        evidence
    }

    #[test]
    fn weights_add_up_to_one_and_what_is_left_out_only_lowers_them() {
        for (shares, minutes) in [(0, 0), (1, 0), (0, 1), (3, 4), (5, 60)] {
            let evidence = begun(shares, minutes);
            // Without any event every e-value is exactly 1.
            let average = evidence.ln_average(0).exp();
            assert!(average <= 1.0 + 1e-9, "{shares}, {minutes}: {average}");
            assert!(average > 0.9, "{shares}, {minutes}: {average}");
            if shares + minutes <= 7 {
                assert!((average - 1.0).abs() < 1e-6, "{average}");
            }
        }
    }

    #[test]
    fn few_beginnings_are_kept_and_the_share_is_among_them() {
        let evidence = begun(8, 500);
        assert!(evidence.others.len() <= KEPT);
        assert_eq!(evidence.share.as_ref().map(|share| share.nth), Some(8));
        assert_eq!(evidence.others.last().map(|last| last.nth), Some(500));
    }

    #[test]
    fn a_minute_without_anything_to_compare_is_no_beginning() {
        let mut evidence = begun(0, 1);
        let before = evidence.clone();
        evidence.begin_minute();
        evidence.begin_minute();
        // One request came after the first minute.
        assert_eq!(evidence.minutes, before.minutes + 1);
    }
}
