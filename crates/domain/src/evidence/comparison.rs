//! Errors and latency together: what a gate looks at.
//!
//! Latency is compared as a set of yes-or-no questions: how many requests of the new release took
//! longer than `1 + margin` times a boundary, against how many of stable's took longer than the
//! boundary. The e-values of some boundaries are averaged, which is an e-value again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Arm, BOUND_ALPHA, Evidence, Judged, Verdict, bounds, enough_nats, log_mean_exp, more_by_scale,
};
use crate::traffic::{BUCKET_LAST, Histogram, Traffic, bucket_end_us};

/// False alarms over all looks together, in a million: half for errors, half for latency.
const ALPHA_PPM: u32 = 5000;
/// Every fourth bucket is a boundary: each doubling of the duration.
const BOUNDARY_STEP: usize = 4;

/// What a comparison of users' traffic tolerates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// So many more of a thousand requests may fail than of stable's.
    pub error_margin_permille: u32,
    /// The percentiles of latency that must not be worse. Few and not too high: a high one needs
    /// many requests.
    pub percentiles: Vec<u8>,
    /// So many percent slower they may be. Durations are known to 19 %, so that less than 42 may
    /// never be shown to hold.
    pub latency_margin_percent: u32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            error_margin_permille: 10,
            percentiles: vec![50, 95],
            latency_margin_percent: 50,
        }
    }
}

/// What is known of the new release against stable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    errors: Evidence,
    /// By boundary; boundaries that nobody was slower than are left out.
    slow: BTreeMap<u8, Evidence>,
    new_latency: Histogram,
    stable_latency: Histogram,
}

/// One look at a comparison, complete enough to draw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// What it comes to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The new side's requests and errors.
    pub new: Arm,
    /// Stable's requests and errors.
    pub stable: Arm,
    /// The errors.
    pub errors: Judged,
    /// What latency alone comes to.
    pub latency: Verdict,
    /// Evidence that the new side is slower, in thousandths of a nat.
    pub latency_millinats: i64,
    /// The percentiles.
    pub percentiles: Vec<PercentileLook>,
}

/// One percentile of both sides, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PercentileLook {
    /// Which.
    pub percent: u8,
    /// Of the new side, as measured.
    pub new_us: Option<u64>,
    /// Of stable, as measured.
    pub stable_us: Option<u64>,
    /// Of the new side at most.
    pub new_upper_us: Option<u64>,
    /// Of stable at least.
    pub stable_lower_us: Option<u64>,
    /// The new side's is at most the margin above stable's.
    pub not_worse: bool,
}

impl Comparison {
    /// Takes into account what was counted since the last look.
    pub fn add(&mut self, new: &Traffic, stable: &Traffic, tolerance: &Tolerance) {
        let arm = |traffic: &Traffic| Arm {
            requests: traffic.requests,
            events: traffic.errors,
        };
        self.errors.add(arm(new), arm(stable));
        let shift = buckets_above(tolerance);
        let (all_new, all_stable) = (new.latency.count(), stable.latency.count());
        for boundary in (0..BUCKET_LAST).step_by(BOUNDARY_STEP) {
            let new = Arm {
                requests: all_new,
                events: new.latency.above(boundary.saturating_add(shift)),
            };
            let stable = Arm {
                requests: all_stable,
                events: stable.latency.above(boundary),
            };
            if new.events + stable.events > 0 {
                self.slow.entry(boundary).or_default().add(new, stable);
            }
        }
        merge(&mut self.new_latency, &new.latency);
        merge(&mut self.stable_latency, &stable.latency);
    }

    /// What it comes to now.
    #[must_use]
    pub fn look(&self, tolerance: &Tolerance) -> Look {
        let errors = self
            .errors
            .judge(tolerance.error_margin_permille * 1000, ALPHA_PPM);
        let (latency, nats, percentiles) = self.latency(tolerance);
        let verdict = match (&errors.verdict, &latency) {
            (Verdict::Worse, _) | (_, Verdict::Worse) => Verdict::Worse,
            (Verdict::NotWorse, Verdict::NotWorse) => Verdict::NotWorse,
            (one, other) => Verdict::NotEnough {
                more_requests: more_of(one).max(more_of(other)),
            },
        };
        Look {
            verdict,
            new: self.errors.new_side(),
            stable: self.errors.stable_side(),
            errors,
            latency,
            latency_millinats: (nats * 1000.0) as i64,
            percentiles,
        }
    }

    fn latency(&self, tolerance: &Tolerance) -> (Verdict, f64, Vec<PercentileLook>) {
        let boundaries = usize::from(BUCKET_LAST).div_ceil(BOUNDARY_STEP);
        let silent = boundaries.saturating_sub(self.slow.len());
        let known = self.slow.values().map(Evidence::nats);
        let nats = log_mean_exp(known.chain(std::iter::repeat_n(0.0, silent)));
        let look = |percent| self.percentile(percent, tolerance, 1);
        let percentiles: Vec<PercentileLook> =
            tolerance.percentiles.iter().map(|p| look(*p)).collect();
        let settled = |scale| {
            let mut percentiles = tolerance.percentiles.iter();
            percentiles.all(|p| self.percentile(*p, tolerance, scale).not_worse)
        };
        let verdict = if nats >= enough_nats(ALPHA_PPM) {
            Verdict::Worse
        } else if settled(1) {
            Verdict::NotWorse
        } else {
            let more_requests = more_by_scale(self.new_latency.count(), settled);
            Verdict::NotEnough { more_requests }
        };
        (verdict, nats, percentiles)
    }

    /// One percentile, as it would be known with `scale` times the requests.
    fn percentile(&self, percent: u8, tolerance: &Tolerance, scale: u64) -> PercentileLook {
        let above = 1.0 - f64::from(percent) / 100.0;
        let arm = |histogram: &Histogram, bucket| {
            let (requests, events) = (histogram.count(), histogram.above(bucket));
            Arm { requests, events }.times(scale)
        };
        let upper = (0..BUCKET_LAST)
            .find(|bucket| bounds::is_below(arm(&self.new_latency, *bucket), above, BOUND_ALPHA));
        // Every bucket counts whose end the percentile is surely above; none means "more than 0".
        let lower = (0..BUCKET_LAST).rev().find(|bucket| {
            bounds::is_above(arm(&self.stable_latency, *bucket), above, BOUND_ALPHA)
        });
        let floor = (self.stable_latency.count() > 0).then_some(lower.map_or(0, |b| b + 1));
        let not_worse = upper
            .zip(floor)
            .is_some_and(|(upper, floor)| upper < floor.saturating_add(buckets_within(tolerance)));
        PercentileLook {
            percent,
            new_us: self.new_latency.percentile_us(percent),
            stable_us: self.stable_latency.percentile_us(percent),
            new_upper_us: upper.and_then(bucket_end_us),
            stable_lower_us: lower.and_then(bucket_end_us),
            not_worse,
        }
    }
}

/// Whole buckets that the margin spans, rounded up: what is surely worse.
fn buckets_above(tolerance: &Tolerance) -> u8 {
    quarters(tolerance).ceil() as u8
}

/// Whole buckets that the margin spans, rounded down: what is surely not worse.
fn buckets_within(tolerance: &Tolerance) -> u8 {
    quarters(tolerance).floor() as u8
}

fn quarters(tolerance: &Tolerance) -> f64 {
    4.0 * (1.0 + f64::from(tolerance.latency_margin_percent) / 100.0).log2()
}

fn merge(all: &mut Histogram, more: &Histogram) {
    for (bucket, n) in &more.buckets {
        *all.buckets.entry(*bucket).or_default() += n;
    }
}

fn more_of(verdict: &Verdict) -> Option<u64> {
    match verdict {
        Verdict::NotEnough { more_requests } => *more_requests,
        Verdict::Worse | Verdict::NotWorse => Some(0),
    }
}

impl std::fmt::Display for Look {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = |arm: Arm| match arm.rate_ppm() {
            Some(ppm) => format!("{:.2} % of {}", ppm as f64 / 10_000.0, arm.requests),
            None => "no requests".to_owned(),
        };
        write!(
            f,
            "errors {} against {} of stable",
            rate(self.new),
            rate(self.stable)
        )?;
        if self.errors.verdict == Verdict::Worse {
            f.write_str(" (worse)")?;
        }
        let ms =
            |us: Option<u64>| us.map_or("?".to_owned(), |us| format!("{}", us as f64 / 1000.0));
        for look in &self.percentiles {
            let (new, stable) = (ms(look.new_us), ms(look.stable_us));
            write!(f, ", p{} {new} ms against {stable} ms", look.percent)?;
        }
        if self.latency == Verdict::Worse {
            f.write_str(" (slower)")?;
        }
        match self.verdict {
            Verdict::Worse => Ok(()),
            Verdict::NotWorse => f.write_str("; not worse within the margin"),
            Verdict::NotEnough {
                more_requests: Some(more),
            } => {
                write!(
                    f,
                    "; not enough evidence yet, about {more} more requests to the new release"
                )
            }
            Verdict::NotEnough {
                more_requests: None,
            } => f.write_str("; not enough evidence yet"),
        }
    }
}
