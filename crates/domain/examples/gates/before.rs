//! The rule that this one replaced, to be measured beside it: one beginning, a margin of one point, whole
//! buckets, no warm-up.

use std::collections::BTreeMap;

use domain::{
    evidence::RATIOS,
    traffic::{BUCKET_LAST, Histogram, Traffic},
};

use crate::rules::{Rule, Second};

/// `ln(1 / alpha)` of errors and of each of two percentiles.
const NEEDED: [f64; 3] = [5.298, 5.991, 5.991];
/// Margins of errors, of the median and of the 95th percentile.
const MARGINS: [f64; 3] = [0.01, 0.05, 0.005];
const PERCENTS: [u64; 2] = [50, 95];

#[derive(Default)]
struct Evidence {
    requests: f64,
    events: f64,
    expected: f64,
    worse: [f64; RATIOS.len()],
}

impl Evidence {
    fn add(&mut self, (a, c): (f64, f64), (b, d): (f64, f64)) {
        if a < 1.0 || b < 1.0 {
            return;
        }
        self.requests += a;
        self.events += c;
        self.expected += d * a / b;
        for (sum, ratio) in self.worse.iter_mut().zip(RATIOS) {
            *sum += c * ratio.ln() - (c + d) * (a / (a + b) * (ratio - 1.0)).ln_1p();
        }
    }

    fn is_worse(&self, margin: f64, needed: f64) -> bool {
        let difference = (self.events - self.expected) / self.requests.max(1.0);
        ln_mean_exp(self.worse) >= needed && difference > margin
    }
}

fn ln_mean_exp<const N: usize>(x: [f64; N]) -> f64 {
    let largest = x.into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = x.into_iter().map(|x| (x - largest).exp()).sum();
    largest + (sum / N as f64).ln()
}

/// The rule.
#[derive(Default)]
pub struct Before {
    /// Errors, then percentiles.
    evidence: [Evidence; 3],
    stable: Histogram,
    /// Per percentile: the bucket that holds it, and the part of it that is above.
    edges: BTreeMap<usize, (u8, f64)>,
}

impl Rule for Before {
    fn second(&mut self, second: &Second<'_>) -> bool {
        let (new, stable) = (second.new, second.stable);
        let of = |side: &Traffic| (side.requests as f64, side.errors as f64);
        self.evidence[0].add(of(new), of(stable));
        for (index, (bucket, part)) in &self.edges {
            let within = stable.latency.buckets.get(bucket).copied().unwrap_or(0) as f64;
            let tail = stable.latency.above(*bucket) as f64 + within * part;
            // A margin of 50 % are two whole buckets.
            let slow = new.latency.above((bucket + 2).min(BUCKET_LAST)) as f64;
            self.evidence[index + 1].add(
                (new.latency.count() as f64, slow),
                (stable.latency.count() as f64, tail),
            );
        }
        if self.edges.len() < PERCENTS.len() {
            for (bucket, count) in &stable.latency.buckets {
                *self.stable.buckets.entry(*bucket).or_default() += count;
            }
            self.choose();
        }
        let looked = self.evidence.iter().zip(MARGINS).zip(NEEDED);
        let mut worse = looked.map(|((it, margin), needed)| it.is_worse(margin, needed));
        worse.any(|worse| worse)
    }
}

impl Before {
    fn choose(&mut self) {
        for (index, percent) in PERCENTS.into_iter().enumerate() {
            let tail = self.stable.count() * (100 - percent) / 100;
            if tail < 10 || self.edges.contains_key(&index) {
                continue;
            }
            let found = (0..=BUCKET_LAST).find(|bucket| self.stable.above(*bucket) <= tail);
            if let Some(bucket) = found {
                let within = self
                    .stable
                    .buckets
                    .get(&bucket)
                    .copied()
                    .unwrap_or(1)
                    .max(1);
                let part = (tail - self.stable.above(bucket)) as f64 / within as f64;
                self.edges.insert(index, (bucket, part));
            }
        }
    }
}
