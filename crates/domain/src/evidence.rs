//! Is the new release worse than stable? A comparison that may be looked at as often as one likes.
//!
//! Both answers come from supermartingales, so by Ville's inequality each is wrong with a chance of at
//! most alpha over infinitely many looks, not per look. Comparing counts like this is Lindon and Malek's
//! test, "Anytime-Valid Inference for Multinomial Count Data" (NeurIPS 2022, arXiv 2011.03567); testing
//! releases like this is of Lindon, Sanden and Shirikian, "Rapid Regression Detection in Software
//! Deployments through Sequential Testing" (arXiv 2205.14762); mixing over a few alternatives is Robbins'
//! (Ann. Math. Statist. 41, 1970); for bounds that hold at all times see Howard, Ramdas, McAuliffe and
//! Sekhon (Ann. Statist. 49, 2021).
//!
//! What came in for a while is a *stretch*: `a` requests to the new release with `c` events (errors,
//! say) among them, `b` requests to stable with `d` events; `e = c + d`, `s = a / (a + b)`.
//!
//! - **Worse.** If the new release is like stable, the `e` events fall on `a` and `b` like draws without
//!   replacement. Hoeffding (J. Amer. Statist. Assoc. 58, 1963, theorem 4): the mean of `r^c` is then
//!   at most that of draws with replacement, `(1 - s + s r)^e`. So the product over all stretches of
//!   `r^c / (1 - s + s r)^e` has a mean of at most 1 for each ratio `r > 1`. One event less of the new
//!   release multiplies it by `(1 - s + s r) / r < 1`, so the same holds if it is better than stable. The
//!   average over the ratios in [`RATIOS`] reaches `1 / alpha` with a chance of at most alpha.
//! - **Several beginnings.** An e-value that begins later is 1 until then, so that an average of such
//!   e-values with fixed weights has a mean of at most 1 too. One begins at the first look, one at each
//!   new share of users, one after each minute. A fault that begins late is held against what came since,
//!   and does not have to make up for an hour that was good. See `beginnings.rs`.
//! - **Not worse.** With `k = ln(1 + h (1 + g) a / b)` and `1 + x <= e^x`, the mean of
//!   `(1 - h)^c e^(k d)` is at most `e^(-h a x)`, where `x` is by how much the new release's chance of
//!   an event is above `1 + g` times stable's in that stretch. The product of `(1 - h)^c e^(k d + h a x)`,
//!   averaged over `h` in [`STRENGTHS`], therefore bounds from above the mean of `x` over the new release's
//!   requests: how many more of them were events than are allowed.
//! - **Users instead of requests.** Where users stick to a slice, requests of one user fall together.
//!   There `a` and `b` are the users who had no event yet, `c` and `d` those who have their first: a
//!   sequential log-rank test, by the same formulas.
//! - **Ill instances.** Errors that one instance of the new release has and most of the others do not are left
//!   out of `c` where "worse" is asked. That only lowers its e-values. See `instances.rs`.
//!
//! Each stretch is compared with itself only. So rates may change over the day, and the new release's
//! share may grow, without inventing or hiding anything. What is assumed: within a stretch, chance
//! decides which requests (or users) go to the new release, and when a stretch ends depends on how many
//! there were, not on what became of them.
//!
//! Invariant: sums are kept as whole nano-nats (1e-9 of a natural logarithm's unit), always rounded to
//! the side of less evidence; adding can be repeated, moved or stored without a change of meaning.

mod at_risk;
mod beginnings;
mod boundary;
mod ceiling;
mod compare;
mod forecast;
mod gathered;
mod instances;
mod look;
mod question;
mod tolerance;
mod words;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use beginnings::Evidence;
pub use compare::{Comparison, Stretch, is_whole};
pub use forecast::{Forecast, forecast};
pub use look::{CeilingLook, Culprit, Look, PercentileLook, Sign, Unit};
pub use question::{Conclusion, Judged, Margin, Question};
pub use tolerance::{ALPHA_PPM, Tolerance};

/// The ratios of rates, new to stable, that are held against "no worse". Equal weights.
pub const RATIOS: [f64; 6] = [1.2, 1.5, 2.0, 4.0, 10.0, 40.0];

/// How strongly one event of the new release counts against "not worse": it divides by `1 - h`.
/// Large ones settle rare events soon, small ones frequent events. Equal weights.
pub const STRENGTHS: [f64; 7] = [0.02, 0.05, 0.12, 0.25, 0.45, 0.7, 0.9];

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

impl Arm {
    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            events: self.events.saturating_add(other.events),
        }
    }
}

/// Nats as nano-nats, rounded down, also where `f64` itself has rounded: `size` is what was added up.
fn nano_down(nats: f64, size: f64) -> i64 {
    ((nats - size * 4.0 * f64::EPSILON) * NANO).floor() as i64
}

/// `ln(mean(exp(x)))`, without leaving the range of `f64`.
fn ln_mean_exp(x: &[f64]) -> f64 {
    ln_sum_exp(x.iter().copied()) - (x.len() as f64).ln()
}

/// `ln(sum(exp(x)))`, without leaving the range of `f64`; negative infinity of nothing.
fn ln_sum_exp(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = x.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + x.map(|x| (x - largest).exp()).sum::<f64>().ln()
}
