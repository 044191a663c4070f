//! Is the new release worse than stable? A comparison that may be looked at as often as one likes.
//!
//! Two questions are kept apart, each answered with a bound that holds at every moment at once
//! ("anytime-valid"; the idea for releases: Lindon, Sanden, Shirikian, "Rapid Regression Detection in
//! Software Deployments through Sequential Testing", arXiv 2205.14762):
//!
//! 1. **Worse?** In a stretch of time with `n` and `m` requests to new and stable and `e` events in
//!    all, `c` of them on the new side: if new is no worse, `c` is at most Binomial(e, n / (n + m))
//!    (drawing without replacement spreads less: Hoeffding 1963, theorem 4). The likelihood ratio
//!    against a rate that is `r` times higher, multiplied over all stretches and averaged over some
//!    `r` (Robbins' mixture), is an e-process: the chance that it ever reaches `1/alpha` is at most
//!    `alpha` (Ville). Each stretch is judged by its own share of requests, so neither changing
//!    weights nor error rates that rise for everybody mislead it.
//! 2. **Not worse within the margin?** A confidence sequence for each rate (Beta mixture against the
//!    binomial likelihood; Howard, Ramdas, McAuliffe, Sekhon, arXiv 1810.08240): not worse once the
//!    upper bound of new lies at most the margin above the lower bound of stable. This one takes the
//!    rate of each side as constant over the time it is watched.
//!
//! Until one of them is answered there is **not enough evidence**. No traffic answers neither.
//!
//! Invariant: sums are kept in whole billionths of a nat and rounded down, so that records compare
//! equal and rounding never makes evidence.

mod bounds;
mod comparison;

use serde::{Deserialize, Serialize};

pub use comparison::{Comparison, Look, PercentileLook, Tolerance};

/// The rates that "worse" is tried with, as multiples of stable's rate.
const RATIOS: [f64; 8] = [1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0];
/// Billionths of a nat.
const UNIT: f64 = 1e9;
/// Chance that a confidence sequence ever misses the rate it bounds.
const BOUND_ALPHA: f64 = 0.01;
/// Evidence is extrapolated to at most so many times of what there is.
const SCALE_MAX: u64 = 4096;

/// Requests of one side in one stretch of time, and how many of them were events: failed, or slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Requests.
    pub requests: u64,
    /// Events among them.
    pub events: u64,
}

/// A yes-or-no comparison of two sides, gathered over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    new: Arm,
    stable: Arm,
    /// Log likelihood ratio for each of [`RATIOS`], in billionths of a nat.
    #[serde(default, skip_serializing_if = "is_zero")]
    sums: [i64; RATIOS.len()],
}

fn is_zero(sums: &[i64; RATIOS.len()]) -> bool {
    sums.iter().all(|sum| *sum == 0)
}

/// What a comparison comes to now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// New is worse, by more than the margin.
    Worse,
    /// New is not worse, within the margin.
    NotWorse,
    /// Neither is sure.
    NotEnough {
        /// About so many more requests to the new side would settle it, if all goes on like this.
        more_requests: Option<u64>,
    },
}

/// A comparison with its numbers, complete enough to draw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// What it comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The new side's rate less stable's as measured, in a millionth of the requests.
    pub difference_ppm: i64,
    /// The difference is at most this, in a millionth of the requests.
    pub upper_ppm: i64,
    /// Evidence that new is worse, in thousandths of a nat ...
    pub evidence_millinats: i64,
    /// ... and from where on it suffices.
    pub enough_millinats: i64,
}

impl Arm {
    /// Events per million requests; `None` without requests.
    #[must_use]
    pub fn rate_ppm(self) -> Option<u64> {
        (self.events.saturating_mul(1_000_000)).checked_div(self.requests)
    }

    fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.events = self.events.saturating_add(more.events.min(more.requests));
    }

    fn times(self, scale: u64) -> Self {
        Self {
            requests: self.requests.saturating_mul(scale),
            events: self.events.saturating_mul(scale),
        }
    }
}

impl Evidence {
    /// Takes one stretch of time into account.
    pub fn add(&mut self, new: Arm, stable: Arm) {
        let (new, stable) = (cut(new), cut(stable));
        self.new.add(new);
        self.stable.add(stable);
        let events = new.events + stable.events;
        // A stretch in which only one side had requests compares nothing.
        if events == 0 || new.requests == 0 || stable.requests == 0 {
            return;
        }
        let share = new.requests as f64 / (new.requests + stable.requests) as f64;
        for (sum, ratio) in self.sums.iter_mut().zip(RATIOS) {
            let expected = (1.0 - share + share * ratio).ln();
            let gained = new.events as f64 * ratio.ln() - events as f64 * expected;
            // Rounded down, and one unit more for what floating point may have rounded up.
            *sum = sum.saturating_add((gained * UNIT).floor() as i64 - 1);
        }
    }

    /// All of the new side.
    #[must_use]
    pub fn new_side(&self) -> Arm {
        self.new
    }

    /// All of stable's side.
    #[must_use]
    pub fn stable_side(&self) -> Arm {
        self.stable
    }

    /// What it comes to, with a chance of at most `alpha_ppm` in a million that it is ever called
    /// worse without being so, however often one looks. The margin is in a millionth of the requests.
    #[must_use]
    pub fn judge(&self, margin_ppm: u32, alpha_ppm: u32) -> Judged {
        let (difference_ppm, upper_ppm) = difference(self.new, self.stable);
        let (evidence, enough) = (self.nats(), enough_nats(alpha_ppm));
        let above = difference_ppm > i64::from(margin_ppm);
        let measured = self.new.requests > 0 && self.stable.requests > 0;
        let verdict = if measured && above && evidence >= enough {
            Verdict::Worse
        } else if measured && upper_ppm <= i64::from(margin_ppm) {
            Verdict::NotWorse
        } else {
            Verdict::NotEnough {
                more_requests: self.more(margin_ppm, above.then_some((evidence, enough))),
            }
        };
        Judged {
            verdict,
            difference_ppm,
            upper_ppm,
            evidence_millinats: (evidence * 1000.0) as i64,
            enough_millinats: (enough * 1000.0) as i64,
        }
    }

    /// The logarithm of the e-value that the new side is worse.
    fn nats(&self) -> f64 {
        log_mean_exp(self.sums.iter().map(|sum| *sum as f64 / UNIT))
    }

    /// How many more requests to the new side would settle it, if the rates stay as they are.
    fn more(&self, margin_ppm: u32, towards_worse: Option<(f64, f64)>) -> Option<u64> {
        if let Some((evidence, enough)) = towards_worse {
            let per_request = evidence / self.new.requests.max(1) as f64;
            return (per_request > 0.0).then(|| ((enough - evidence) / per_request).ceil() as u64);
        }
        let settled = |scale| {
            let (_, upper) = difference(self.new.times(scale), self.stable.times(scale));
            upper <= i64::from(margin_ppm)
        };
        more_by_scale(self.new.requests, settled)
    }
}

/// More events than requests make no sense; whoever counts them loses the surplus.
fn cut(arm: Arm) -> Arm {
    Arm {
        events: arm.events.min(arm.requests),
        ..arm
    }
}

/// How many more requests there must be until `settled`, when everything grows alike.
fn more_by_scale(requests: u64, settled: impl Fn(u64) -> bool) -> Option<u64> {
    if requests == 0 {
        return None;
    }
    let mut high = 2;
    while !settled(high) {
        high *= 2;
        if high > SCALE_MAX {
            return None;
        }
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low.midpoint(high);
        if settled(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(requests.saturating_mul(high - 1))
}

/// The measured difference of the rates, and its upper bound, in a millionth.
fn difference(new: Arm, stable: Arm) -> (i64, i64) {
    let ppm = |rate: f64| (rate * 1e6).ceil() as i64;
    let rate = |arm: Arm| arm.events as f64 / arm.requests.max(1) as f64;
    let upper = bounds::upper(new, BOUND_ALPHA) - bounds::lower(stable, BOUND_ALPHA);
    (ppm(rate(new) - rate(stable)), ppm(upper))
}

fn enough_nats(alpha_ppm: u32) -> f64 {
    (1e6 / f64::from(alpha_ppm.max(1))).ln()
}

/// ln of the mean of e^x.
fn log_mean_exp(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = logs.clone().count().max(1) as f64;
    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return 0.0;
    }
    let sum: f64 = logs.map(|log| (log - largest).exp()).sum();
    largest + (sum / count).ln()
}

#[cfg(test)]
mod tests;
