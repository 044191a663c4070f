//! Errors and latency together: what a gate asks for.
//!
//! A percentile is compared at a boundary, the end `x` of the bucket that holds it: how many of the
//! new release's answers took longer than `x` and the margin, against how many of stable's are above
//! the percentile, which are those beyond `x` and a fixed part of those in the bucket. The first answers
//! of stable choose bucket and part; they are not counted as evidence, so that the choice is independent
//! of it. If `x` stops being the percentile because the whole service got slower or faster, the
//! comparison at `x` still holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Arm, Conclusion, Evidence, Judged};
use crate::{
    bounds::{Limit, Limited},
    traffic::{BUCKET_LAST, Histogram, Traffic, bucket_end_us},
};

/// How often a release that is not worse may be stopped, in millionths of releases, over infinitely
/// many looks; and how often one that is worse by more than the margin may pass.
///
/// Errors have one half of it, the percentiles share the other half.
pub const ALPHA_PPM: u32 = 10_000;

/// Answers of stable above a percentile, at least, before a boundary is put there.
const TAIL_MIN: u64 = 10;

/// How much worse than stable the new release may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// Allowed increase in errors, per thousand requests; 10 are one percentage point.
    pub error_margin_permille: u32,
    /// Percentiles of latency that are compared. Empty: latency is not compared.
    pub percentiles: Vec<u8>,
    /// Allowed increase in latency, in percent.
    ///
    /// A histogram knows durations to 19 %: the true limit of 50 % is between 41 and 68 %.
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

impl Limited for Tolerance {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("error_margin_permille", 1..=1000, |it| {
            Some(it.error_margin_permille)
        }),
        Limit::number("latency_margin_percent", 1..=1000, |it| {
            Some(it.latency_margin_percent)
        }),
        Limit::items("percentiles", 0..=5, |it| it.percentiles.len()),
        Limit::each("percentiles", 1..=99, |it| &it.percentiles),
    ];
}

impl Tolerance {
    fn error_margin_ppm(&self) -> u32 {
        self.error_margin_permille.saturating_mul(1000)
    }

    /// The percentiles that make sense, each once.
    fn percents(&self) -> impl Iterator<Item = u8> {
        let mut percents = self.percentiles.clone();
        percents.retain(|percent| (1..100).contains(percent));
        percents.sort_unstable();
        percents.dedup();
        percents.into_iter()
    }

    /// Whole buckets within the latency margin: the most `n` with `2^(n/4) <= 1 + margin`.
    pub(super) fn steps(&self) -> u8 {
        let ratio = 100 + u128::from(self.latency_margin_percent.min(100_000));
        let octaves = ratio.pow(4) / 100_u128.pow(4);
        u8::try_from(octaves.ilog2()).unwrap_or(BUCKET_LAST)
    }

    /// The share of alpha of one percentile.
    fn percentile_alpha_ppm(&self) -> u32 {
        let count = u32::try_from(self.percents().count()).unwrap_or(u32::MAX);
        ALPHA_PPM / 2 / count.max(1)
    }
}

/// How much of the answers may be beyond a percentile's boundary before it counts: a tenth of the tail
/// that the percentile leaves, such as 0.5 % of all answers for the 95th.
fn tail_margin_ppm(percent: u8) -> u32 {
    100_u32.saturating_sub(percent.into()) * 1000
}

/// Errors and latency of the new release against stable's, gathered over time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    errors: Evidence,
    /// Per percentile that has a boundary.
    percentiles: BTreeMap<u8, Boundary>,
    /// Everything that was counted, to be shown and to choose boundaries from.
    new: Histogram,
    stable: Histogram,
}

/// Where a percentile is compared, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Boundary {
    /// The bucket that holds stable's percentile.
    bucket: u8,
    /// How many of the answers in it are above the percentile, in thousandths.
    part_permille: u16,
    /// The bucket up to whose end the new release's answers are fast enough. Within the last one
    /// nothing can be told apart.
    allowed: u8,
    evidence: Evidence,
}

impl Boundary {
    /// Where stable's percentile is; `None` as long as there are too few answers above it.
    fn choose(stable: &Histogram, percent: u8, steps: u8) -> Option<Self> {
        let tail = stable.count().saturating_mul(u64::from(100 - percent)) / 100;
        if tail < TAIL_MIN {
            return None;
        }
        let bucket = (0..=BUCKET_LAST).find(|bucket| stable.above(*bucket) <= tail)?;
        let within = stable.buckets.get(&bucket).copied().unwrap_or(0).max(1);
        let part = (tail - stable.above(bucket)).saturating_mul(1000) / within;
        Some(Self {
            bucket,
            part_permille: u16::try_from(part.min(1000)).ok()?,
            allowed: bucket.saturating_add(steps).min(BUCKET_LAST),
            evidence: Evidence::default(),
        })
    }

    fn add(&mut self, new: &Histogram, stable: &Histogram) {
        let new = Arm {
            requests: new.count(),
            events: new.above(self.allowed),
        };
        let within = stable.buckets.get(&self.bucket).copied().unwrap_or(0);
        let parts = u128::from(stable.above(self.bucket)) * 1000
            + u128::from(within) * u128::from(self.part_permille);
        let stable = Arm {
            requests: stable.count(),
            events: u64::try_from(parts / 1000).unwrap_or(u64::MAX),
        };
        self.evidence.add_parts(new, stable, parts);
    }
}

/// One look at a comparison of users' traffic, complete enough to draw it. Rates are in millionths of
/// requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = TrafficLook))]
pub struct Look {
    /// What follows from all measurements: worse if any is, not worse if all are.
    #[serde(flatten)]
    pub verdict: Conclusion,
    /// Requests that the new release had.
    pub requests_new: u64,
    /// Requests that stable had.
    pub requests_stable: u64,
    /// The errors.
    pub errors: Judged,
    /// What follows from the percentiles alone; null where none is compared.
    pub latency_verdict: Option<Conclusion>,
    /// The percentiles, the lowest first.
    pub latency: Vec<PercentileLook>,
}

/// One percentile at one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PercentileLook {
    /// Which percentile.
    pub percent: u8,
    /// Latency of the new release at this percentile, over everything that was counted, in microseconds.
    pub new_us: Option<u64>,
    /// Stable's, in microseconds.
    pub stable_us: Option<u64>,
    /// Stable's latency that answers are compared with, in microseconds; null until stable had enough
    /// answers.
    pub boundary_us: Option<u64>,
    /// Allowed latency: the boundary and the margin, in microseconds.
    pub allowed_us: Option<u64>,
    /// How many answers were slower than `allowed_us`, against those of stable above `boundary_us`, and
    /// what follows.
    #[serde(flatten)]
    pub judged: Judged,
}

impl Comparison {
    /// Takes into account what was counted since the last time, on both sides.
    pub fn add(&mut self, new: &Traffic, stable: &Traffic, tolerance: &Tolerance) {
        let arm = |traffic: &Traffic| Arm {
            requests: traffic.requests,
            events: traffic.errors,
        };
        self.errors.add(arm(new), arm(stable));
        for boundary in self.percentiles.values_mut() {
            boundary.add(&new.latency, &stable.latency);
        }
        merge(&mut self.new, &new.latency);
        merge(&mut self.stable, &stable.latency);
        self.choose_boundaries(tolerance);
    }

    fn choose_boundaries(&mut self, tolerance: &Tolerance) {
        for percent in tolerance.percents() {
            if self.percentiles.contains_key(&percent) {
                continue;
            }
            if let Some(boundary) = Boundary::choose(&self.stable, percent, tolerance.steps()) {
                self.percentiles.insert(percent, boundary);
            }
        }
    }

    /// The verdict of [`Self::look`] alone, where there is one: cheap enough for every look.
    #[must_use]
    pub fn settled(&self, tolerance: &Tolerance) -> Option<Conclusion> {
        let alpha = tolerance.percentile_alpha_ppm();
        let percentiles = tolerance.percents().map(|percent| {
            let evidence = &self.percentiles.get(&percent)?.evidence;
            evidence.settled(tail_margin_ppm(percent), alpha)
        });
        let errors = self
            .errors
            .settled(tolerance.error_margin_ppm(), ALPHA_PPM / 2);
        let open = Conclusion::NotEnough {
            more_requests: None,
        };
        let all = std::iter::once(errors).chain(percentiles);
        Some(together(all.map(|verdict| verdict.unwrap_or(open))))
            .filter(|verdict| !matches!(verdict, Conclusion::NotEnough { .. }))
    }

    /// Judges everything that was gathered.
    #[must_use]
    pub fn look(&self, tolerance: &Tolerance) -> Look {
        let errors = self
            .errors
            .judge(tolerance.error_margin_ppm(), ALPHA_PPM / 2);
        let latency: Vec<PercentileLook> = tolerance
            .percents()
            .map(|percent| self.percentile(percent, tolerance))
            .collect();
        let percentiles = latency.iter().map(|look| look.judged.verdict);
        Look {
            verdict: together(std::iter::once(errors.verdict).chain(percentiles.clone())),
            requests_new: self.errors.new_side().requests,
            requests_stable: self.errors.stable_side().requests,
            latency_verdict: (!latency.is_empty()).then(|| together(percentiles)),
            errors,
            latency,
        }
    }

    fn percentile(&self, percent: u8, tolerance: &Tolerance) -> PercentileLook {
        let boundary = self.percentiles.get(&percent);
        let none = Evidence::default();
        let evidence = boundary.map_or(&none, |boundary| &boundary.evidence);
        PercentileLook {
            percent,
            new_us: self.new.percentile_us(percent),
            stable_us: self.stable.percentile_us(percent),
            boundary_us: boundary.and_then(|boundary| bucket_end_us(boundary.bucket)),
            allowed_us: boundary.and_then(|boundary| bucket_end_us(boundary.allowed)),
            judged: evidence.judge(tail_margin_ppm(percent), tolerance.percentile_alpha_ppm()),
        }
    }
}

/// Worse if any is, not worse if all are, and otherwise as much more as the slowest needs.
fn together(verdicts: impl Iterator<Item = Conclusion>) -> Conclusion {
    verdicts.fold(Conclusion::NotWorse, |all, one| match (all, one) {
        (Conclusion::Worse, _) | (_, Conclusion::Worse) => Conclusion::Worse,
        (Conclusion::NotWorse, other) | (other, Conclusion::NotWorse) => other,
        (
            Conclusion::NotEnough { more_requests: x },
            Conclusion::NotEnough { more_requests: y },
        ) => Conclusion::NotEnough {
            more_requests: x.zip(y).map(|(x, y)| x.max(y)),
        },
    })
}

fn merge(all: &mut Histogram, more: &Histogram) {
    for (bucket, count) in &more.buckets {
        *all.buckets.entry(*bucket).or_default() += count;
    }
}
