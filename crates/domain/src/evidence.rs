//! Is the new release worse than stable? A comparison that may be looked at as often as one likes.
//!
//! Both answers come from supermartingales, so by Ville's inequality each is wrong with a chance of at
//! most alpha over infinitely many looks, not per look. The idea of testing releases like this is of
//! Lindon, Sanden and Shirikian, "Rapid Regression Detection in Software Deployments through
//! Sequential Testing" (arXiv 2205.14762); mixing over a few alternatives is Robbins' (Ann. Math.
//! Statist. 41, 1970); for bounds that hold at all times see Howard, Ramdas, McAuliffe and Sekhon
//! (Ann. Statist. 49, 2021).
//!
//! What came in between two looks is a *stretch*: `a` requests to the new release with `c` events
//! (errors, say) among them, `b` requests to stable with `d` events; `e = c + d`, `s = a / (a + b)`.
//!
//! - **Worse.** If the new release is no worse, the `e` events fall on `a` and `b` like draws without
//!   replacement. Hoeffding (J. Amer. Statist. Assoc. 58, 1963, theorem 4): the mean of `r^c` is then
//!   at most that of draws with replacement, `(1 - s + s r)^e`. So the product over all stretches of
//!   `r^c / (1 - s + s r)^e` has a mean of at most 1 for each ratio `r > 1`, and so has the average
//!   over the ratios in [`RATIOS`]. It reaches `1 / alpha` with a chance of at most alpha.
//! - **Not worse.** With `k = ln(1 + h a / b)` and `1 + x <= e^x`, the mean of
//!   `(1 - h)^c e^(k d)` is at most `e^(-h a x)`, where `x` is by how much the new release's chance of
//!   an event is above stable's in that stretch. The product of `(1 - h)^c e^(k d + h a x)`, averaged
//!   over `h` in [`STRENGTHS`], therefore bounds from above the mean of `x` over the new release's
//!   requests: how many more of them were events than would have been on stable.
//!
//! Each stretch is compared with itself only. So rates may change over the day, and the new release's
//! share may grow, without inventing or hiding anything. What is assumed: within a stretch, chance
//! decides which requests go to the new release, and requests fail independently of each other.
//!
//! Invariant: sums are kept as whole nano-nats (1e-9 of a natural logarithm's unit), always rounded to
//! the side of less evidence; adding can be repeated, moved or stored without a change of meaning.

mod compare;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

pub use compare::{ALPHA_PPM, Comparison, Look, PercentileLook, Tolerance};

/// The ratios of rates, new to stable, that are held against "no worse". Equal weights.
pub const RATIOS: [f64; 6] = [1.2, 1.5, 2.0, 4.0, 10.0, 40.0];

/// How strongly one event of the new release counts against "not worse": it divides by `1 - h`.
/// Large ones settle rare events soon, small ones frequent events. Equal weights.
pub const STRENGTHS: [f64; 7] = [0.02, 0.05, 0.12, 0.25, 0.45, 0.7, 0.9];

/// Most requests that an estimate of what is still needed looks ahead.
const AHEAD_MAX: f64 = 1e7;
const MILLION: f64 = 1e6;
const NANO: f64 = 1e9;

/// Requests of one side in one stretch of time, and how many of them were events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arm {
    /// Requests that were answered, or failed.
    pub requests: u64,
    /// Of these, the ones that had what is counted: an error, a slow answer.
    pub events: u64,
}

/// A yes/no comparison of two sides, gathered over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    new: Arm,
    stable: Arm,
    /// What the new release had in stretches in which stable had requests too.
    compared: Arm,
    /// Events that these requests would have had at stable's rates of the same stretches, in millionths.
    expected_micro: u64,
    /// Per ratio: the logarithm of the likelihood ratio against "no worse", in nano-nats.
    worse: [i64; RATIOS.len()],
    /// Per strength: the sum of `k d`, in nano-nats.
    not_worse: [i64; STRENGTHS.len()],
}

/// What follows from what was gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = TrafficConclusion))]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Conclusion {
    /// The new release is worse, and measured to be so by more than the margin.
    Worse,
    /// The new release is worse by no more than the margin, or not worse at all.
    NotWorse,
    /// Neither is sure.
    NotEnough {
        /// Number of further requests of the new release that would settle it at the present rates; null
        /// where that cannot be said.
        more_requests: Option<u64>,
    },
}

/// A verdict with its numbers. Rates are in millionths (ppm) of requests.
///
/// They count stretches in which both sides had requests, and weigh stable's rate of each stretch by the
/// new release's requests in it: what stable would have had with the same traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Judged {
    /// What follows.
    #[serde(flatten)]
    pub verdict: Conclusion,
    /// The new release's rate of events.
    pub new_ppm: i64,
    /// Stable's rate of events with the same traffic.
    pub stable_ppm: i64,
    /// The measured difference, new less stable.
    pub difference_ppm: i64,
    /// The true difference is at most this, as sure as was asked for.
    pub upper_ppm: i64,
    /// Most that the difference may be.
    pub margin_ppm: u32,
    /// The logarithm of the evidence that the new release is worse, in millinats.
    pub evidence_millinats: i64,
    /// Where `evidence_millinats` makes it sure: `ln(1 / alpha)`.
    pub needed_millinats: i64,
}

impl Arm {
    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            events: self.events.saturating_add(other.events),
        }
    }

    /// Counters are read one after the other, so that an event may be seen before its request.
    fn sound(self) -> Self {
        Self {
            requests: self.requests,
            events: self.events.min(self.requests),
        }
    }
}

impl Evidence {
    /// Takes one stretch into account. A stretch in which one side had no requests compares nothing.
    ///
    /// A stretch should end where the share of the new release changes.
    pub fn add(&mut self, new: Arm, stable: Arm) {
        self.add_parts(new, stable, u128::from(stable.events) * 1000);
    }

    /// The same, where some requests of stable are events only in part, as if a coin had been tossed
    /// for each: `parts` is the expected number of them in thousandths. Everything that is summed up
    /// here is convex in the number of stable's events, so it is at most what coins would give on
    /// average (Jensen), and what holds for coins holds for parts.
    fn add_parts(&mut self, new: Arm, stable: Arm, parts: u128) {
        let (new, stable) = (new.sound(), stable.sound());
        self.new = self.new.plus(new);
        self.stable = self.stable.plus(stable);
        if new.requests == 0 || stable.requests == 0 {
            return;
        }
        let parts = parts.min(u128::from(stable.requests) * 1000);
        self.compared = self.compared.plus(new);
        let expected = parts * 1000 * u128::from(new.requests) / u128::from(stable.requests);
        let expected = u64::try_from(expected).unwrap_or(u64::MAX);
        self.expected_micro = self.expected_micro.saturating_add(expected);

        let (a, b) = (new.requests as f64, stable.requests as f64);
        let (c, d) = (new.events as f64, parts as f64 / 1000.0);
        for (sum, ratio) in self.worse.iter_mut().zip(RATIOS) {
            let seen = c * ratio.ln();
            let chance = (c + d) * (a / (a + b) * (ratio - 1.0)).ln_1p();
            *sum = sum.saturating_add(nano_down(seen - chance, seen + chance));
        }
        for (sum, strength) in self.not_worse.iter_mut().zip(STRENGTHS) {
            let gained = d * (strength * a / b).ln_1p();
            *sum = sum.saturating_add(nano_down(gained, gained));
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

    /// What follows, with a chance of at most `alpha_ppm` millionths to be wrong at any look. The
    /// margin is in millionths of requests.
    #[must_use]
    pub fn judge(&self, margin_ppm: u32, alpha_ppm: u32) -> Judged {
        let sums = Sums::new(self, margin_ppm, alpha_ppm);
        let verdict = sums.settled().unwrap_or_else(|| Conclusion::NotEnough {
            more_requests: sums.more_requests(),
        });
        let upper_ppm = sums.upper_ppm();
        let margin = i64::from(margin_ppm);
        Judged {
            verdict,
            new_ppm: (sums.events / sums.requests.max(1.0) * MILLION).round() as i64,
            stable_ppm: (sums.expected / sums.requests.max(1.0) * MILLION).round() as i64,
            difference_ppm: (sums.difference() * MILLION).round() as i64,
            // The search for it is a little coarser than the verdict.
            upper_ppm: match verdict {
                Conclusion::NotWorse => upper_ppm.min(margin),
                _ => upper_ppm,
            },
            margin_ppm,
            evidence_millinats: (sums.evidence() * 1000.0).floor() as i64,
            needed_millinats: (sums.needed * 1000.0).ceil() as i64,
        }
    }

    /// The verdict of [`Self::judge`] alone, where there is one: cheap enough for every look.
    #[must_use]
    pub fn settled(&self, margin_ppm: u32, alpha_ppm: u32) -> Option<Conclusion> {
        Sums::new(self, margin_ppm, alpha_ppm).settled()
    }
}

/// What was gathered, in nats and requests, and what it is held against.
struct Sums {
    requests: f64,
    events: f64,
    expected: f64,
    worse: [f64; RATIOS.len()],
    not_worse: [f64; STRENGTHS.len()],
    margin: f64,
    /// `ln(1 / alpha)`.
    needed: f64,
}

impl Sums {
    fn new(evidence: &Evidence, margin_ppm: u32, alpha_ppm: u32) -> Self {
        Self {
            requests: evidence.compared.requests as f64,
            events: evidence.compared.events as f64,
            expected: evidence.expected_micro as f64 / MILLION,
            worse: evidence.worse.map(|sum| sum as f64 / NANO),
            not_worse: evidence.not_worse.map(|sum| sum as f64 / NANO),
            margin: f64::from(margin_ppm) / MILLION,
            needed: (MILLION / f64::from(alpha_ppm.max(1))).ln(),
        }
    }

    /// The same rates, `factor` times as long: all sums grow alike.
    fn times(&self, factor: f64) -> Self {
        Self {
            requests: self.requests * factor,
            events: self.events * factor,
            expected: self.expected * factor,
            worse: self.worse.map(|sum| sum * factor),
            not_worse: self.not_worse.map(|sum| sum * factor),
            ..*self
        }
    }

    fn difference(&self) -> f64 {
        (self.events - self.expected) / self.requests.max(1.0)
    }

    /// The logarithm of the e-value against "no worse".
    fn evidence(&self) -> f64 {
        ln_mean_exp(self.worse)
    }

    /// The logarithm of the e-value against "worse by `difference` or more".
    fn against(&self, difference: f64) -> f64 {
        let mut terms = self.not_worse;
        for (term, strength) in terms.iter_mut().zip(STRENGTHS) {
            *term += self.events * (-strength).ln_1p() + strength * self.requests * difference;
        }
        ln_mean_exp(terms)
    }

    /// At most one of both holds: what is against a difference is never above 1 at the measured one.
    fn settled(&self) -> Option<Conclusion> {
        if self.requests < 1.0 {
            None
        } else if self.evidence() >= self.needed && self.difference() > self.margin {
            Some(Conclusion::Worse)
        } else if self.against(self.margin) >= self.needed {
            Some(Conclusion::NotWorse)
        } else {
            None
        }
    }

    /// The smallest difference that is ruled out, with all above; 1 where none is.
    fn upper_ppm(&self) -> i64 {
        let (mut possible, mut ruled_out) = (-1.0, 1.0);
        if self.against(ruled_out) >= self.needed {
            for _ in 0..32 {
                let middle = f64::midpoint(possible, ruled_out);
                if self.against(middle) >= self.needed {
                    ruled_out = middle;
                } else {
                    possible = middle;
                }
            }
        }
        (ruled_out * MILLION).ceil() as i64
    }

    fn more_requests(&self) -> Option<u64> {
        if self.requests < 1.0 {
            return None;
        }
        let (mut less, mut enough) = (1.0, 2.0);
        while self.times(enough).settled().is_none() {
            if self.requests * enough > AHEAD_MAX {
                return None;
            }
            (less, enough) = (enough, enough * 2.0);
        }
        for _ in 0..10 {
            let middle = f64::midpoint(less, enough);
            if self.times(middle).settled().is_some() {
                enough = middle;
            } else {
                less = middle;
            }
        }
        Some((self.requests * (enough - 1.0)).ceil() as u64)
    }
}

/// Nats as nano-nats, rounded down, also where `f64` itself has rounded: `size` is what was added up.
fn nano_down(nats: f64, size: f64) -> i64 {
    ((nats - size * 4.0 * f64::EPSILON) * NANO).floor() as i64
}

/// `ln(mean(exp(x)))`, without leaving the range of `f64`.
fn ln_mean_exp<const N: usize>(x: [f64; N]) -> f64 {
    let largest = x.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.into_iter().map(|x| (x - largest).exp()).sum();
    largest + (sum / N as f64).ln()
}
