//! Percentiles of latency as yes/no questions.
//!
//! Where is stable's percentile, and where is that and the margin? How many of the new release's answers
//! took longer than the latter, against how many of stable's took longer than the former, which are as many
//! as the percentile says. Both durations lie within buckets, of which fixed parts are taken to be above
//! them: of stable's as many as make the percentile exact, of the new release's as many as if its answers
//! were spread evenly over the bucket, which makes the margin exact. Answers of stable that came before
//! choose both; a choice that was made beforehand is independent of what is counted afterwards. If they stop
//! being near the percentile because the whole service got slower or faster, the comparison there still
//! holds; the next share of users gets a new one.

use serde::{Deserialize, Serialize};

use super::{Evidence, gathered::Seen};
use crate::traffic::{BUCKET_LAST, Histogram, bucket_end_us, bucket_of_us};

/// Answers of stable, at least, before a percentile is compared: the rank of a median is then known to
/// 3.5 points.
const ANSWERS_MIN: u64 = 200;
/// Answers of stable above the percentile, at least.
const TAIL_MIN: u64 = 10;

/// Where a percentile is compared, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Boundary {
    pub(super) percent: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) edge: Option<Edge>,
    /// The edge was chosen at an earlier share of users.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    old: bool,
    pub(super) evidence: Evidence,
}

/// Durations of both sides that correspond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Edge {
    pub(super) stable: Point,
    pub(super) new: Point,
}

/// A duration, and how it divides the answers in its bucket. Within the last bucket nothing can be told
/// apart, so that none of it is above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) us: u64,
    bucket: u8,
    /// How many of the answers in the bucket are above it, in thousandths.
    above_permille: u16,
}

impl Boundary {
    /// Nothing is known yet.
    pub(super) fn new(percent: u8) -> Self {
        Self {
            percent,
            edge: None,
            old: false,
            evidence: Evidence::default(),
        }
    }

    /// Another share of users begins: the edge is chosen once more when enough is known.
    pub(super) fn begin_share(&mut self) {
        self.evidence.begin_share();
        self.old = true;
    }

    /// Chooses the edge from what stable answered before, unless the present share has one.
    pub(super) fn choose(&mut self, stable: &Histogram, margin_percent: u32) {
        if self.edge.is_some() && !self.old {
            return;
        }
        if let Some(edge) = Edge::choose(stable, self.percent, margin_percent) {
            (self.edge, self.old) = (Some(edge), false);
        }
    }

    /// Takes the answers of one stretch into account.
    pub(super) fn add(&mut self, new: &Histogram, stable: &Histogram) {
        if let Some(edge) = &self.edge {
            self.evidence.add_seen(&edge.seen(new, stable), 0.0);
        }
    }
}

impl Edge {
    /// At stable's percentile and the margin; `None` as long as there are too few answers.
    fn choose(stable: &Histogram, percent: u8, margin_percent: u32) -> Option<Self> {
        let tail = stable.count().saturating_mul(u64::from(100 - percent)) / 100;
        if stable.count() < ANSWERS_MIN || tail < TAIL_MIN {
            return None;
        }
        let stable = Point::of_tail(stable, tail);
        let allowed = stable.us.saturating_mul(100 + u64::from(margin_percent)) / 100;
        let new = Point::at(allowed);
        Some(Self { stable, new })
    }

    fn seen(&self, new: &Histogram, stable: &Histogram) -> Seen {
        let requests = [new.count(), stable.count()];
        Seen::of_parts(requests, [self.new.parts(new), self.stable.parts(stable)])
    }
}

impl Point {
    /// The duration that `tail` of the answers exceed, as if the answers of a bucket were spread evenly.
    fn of_tail(answers: &Histogram, tail: u64) -> Self {
        let bucket = (0..=BUCKET_LAST).find(|bucket| answers.above(*bucket) <= tail);
        let bucket = bucket.unwrap_or(BUCKET_LAST);
        let within = answers.buckets.get(&bucket).copied().unwrap_or(0).max(1);
        let above = (tail - answers.above(bucket)).min(within);
        let Some(end) = bucket_end_us(bucket) else {
            return Self::beyond();
        };
        let part = u128::from(end - start_us(bucket)) * u128::from(above) / u128::from(within);
        Self {
            us: end - u64::try_from(part).unwrap_or(end),
            bucket,
            above_permille: permille(above, within),
        }
    }

    /// A duration, with the answers of its bucket spread evenly.
    fn at(us: u64) -> Self {
        let bucket = bucket_of_us(us);
        let Some(end) = bucket_end_us(bucket) else {
            return Self::beyond();
        };
        Self {
            us,
            bucket,
            above_permille: permille(end - us.min(end), end - start_us(bucket)),
        }
    }

    fn beyond() -> Self {
        Self {
            us: u64::MAX,
            bucket: BUCKET_LAST,
            above_permille: 0,
        }
    }

    /// How many of the answers are above it, in thousandths.
    fn parts(self, answers: &Histogram) -> u64 {
        let within = answers.buckets.get(&self.bucket).copied().unwrap_or(0);
        let part = within.saturating_mul(u64::from(self.above_permille));
        answers
            .above(self.bucket)
            .saturating_mul(1000)
            .saturating_add(part)
    }
}

fn permille(part: u64, whole: u64) -> u16 {
    let permille = u128::from(part) * 1000 / u128::from(whole.max(1));
    u16::try_from(permille.min(1000)).unwrap_or(1000)
}

fn start_us(bucket: u8) -> u64 {
    bucket
        .checked_sub(1)
        .and_then(bucket_end_us)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10,000 answers, spread evenly by ratio from 10 to 100 ms.
    fn spread(slower: f64) -> Histogram {
        let mut answers = Histogram::default();
        for n in 0..10_000 {
            let us = 10_000.0 * 10_f64.powf(f64::from(n) / 10_000.0) * slower;
            answers.add_us(us as u64);
        }
        answers
    }

    /// How much larger the part of the new release's answers beyond the edge is than stable's.
    fn excess(margin: u32, slower: f64, percent: u8) -> f64 {
        let stable = spread(1.0);
        let edge = Edge::choose(&stable, percent, margin).expect("there are enough answers");
        let seen = edge.seen(&spread(slower), &stable);
        let [new, stable] = seen.events();
        (new - stable) / 10_000.0
    }

    #[test]
    fn a_latency_margin_means_what_it_says() {
        for margin in [5, 10, 15, 20, 35, 50, 100, 300] {
            for percent in [50, 95] {
                let at_margin = excess(margin, 1.0 + f64::from(margin) / 100.0, percent);
                assert!(
                    at_margin.abs() < 0.01,
                    "p{percent}, {margin} %: {at_margin}"
                );
                let within = excess(margin, 1.0 + f64::from(margin) / 200.0, percent);
                assert!(within < -0.002, "p{percent}, {margin} %: {within}");
            }
        }
    }

    #[test]
    fn answers_like_stables_are_never_beyond_the_edge_more_often() {
        for margin in [0, 1, 5, 18, 50, 1000] {
            for percent in [1, 50, 95, 99] {
                assert!(excess(margin, 1.0, percent) <= 0.0, "p{percent}, {margin}");
            }
        }
    }

    #[test]
    fn the_percentile_is_exact_whatever_the_buckets() {
        let same = answers_alike(20_000);
        for stable in [spread(1.0), spread(1.3), same] {
            for (percent, asked) in [(50, 0.5), (95, 0.05), (99, 0.01)] {
                let edge = Edge::choose(&stable, percent, 50).expect("there are enough answers");
                let part = edge.seen(&stable, &stable).events()[1] / 10_000.0;
                assert!((part - asked).abs() < 0.001, "p{percent}: {part}");
            }
        }
    }

    fn answers_alike(us: u64) -> Histogram {
        let mut answers = Histogram::default();
        (0..10_000).for_each(|_| answers.add_us(us));
        answers
    }

    #[test]
    fn a_few_answers_choose_no_edge() {
        let answers = |n: u64| {
            let mut answers = Histogram::default();
            (0..n).for_each(|ms| answers.add_us(ms * 1000));
            answers
        };
        for (n, percent, chosen) in [
            (199, 50, false),
            (200, 50, true),
            (200, 95, true),
            (999, 99, false),
            (1000, 99, true),
        ] {
            let edge = Edge::choose(&answers(n), percent, 50);
            assert_eq!(edge.is_some(), chosen, "p{percent} of {n}");
        }
    }

    #[test]
    fn beyond_the_last_bucket_nothing_is_told_apart() {
        let mut stable = Histogram::default();
        (0..1000).for_each(|_| stable.add_us(200_000_000));
        let edge = Edge::choose(&stable, 50, 50).expect("there are enough answers");
        assert_eq!(edge.seen(&stable, &stable).parts, [0, 0]);
    }
}
