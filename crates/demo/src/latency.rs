//! A histogram of durations with bounded memory.
//!
//! Invariant: buckets grow by an eighth, so that a quantile is at most 12.5 % above the truth.

use std::time::Duration;

/// Eight buckets per doubling, from one microsecond to over an hour.
const BUCKETS: usize = 8 * 32;

/// How often which duration was seen.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
    }

    /// What was counted since `before`, an earlier copy of this histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let pairs = self.buckets.iter().zip(&before.buckets);
        Self {
            buckets: pairs.map(|(now, then)| now - then).collect(),
        }
    }

    /// The duration that `percent` of all do not exceed; `None` when nothing was counted.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Option<Duration> {
        let all: u64 = self.buckets.iter().sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let index = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_micros(upper_bound(index)))
    }
}

/// Doublings before the leading one, and then the next three bits.
fn bucket(micros: u64) -> usize {
    let micros = micros.max(8);
    let log = micros.ilog2();
    let eighth = (micros >> (log - 3)) & 7;
    let index = (log - 3) as usize * 8 + eighth as usize;
    index.min(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    let (log, eighth) = (index / 8, (index % 8) as u64);
    ((8 + eighth + 1) << log) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_an_eighth_too_high() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000 {
            histogram.add(Duration::from_micros(micros));
        }
        for percent in [1, 50, 99, 100] {
            let truth = 1000 * percent;
            let told = histogram.quantile(percent).expect("counted").as_micros() as u64;
            assert!(
                told >= truth && told <= truth * 9 / 8 + 8,
                "{percent} %: {told}"
            );
        }
        assert_eq!(Histogram::default().quantile(50), None);
    }

    #[test]
    fn a_difference_counts_only_what_came_since() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::from_secs(1));
        let before = histogram.clone();
        histogram.add(Duration::from_micros(100));
        let since = histogram.since(&before);
        assert!(since.quantile(100) < Some(Duration::from_millis(1)));
    }
}
