//! One look at a comparison, complete enough to draw it.

use serde::{Deserialize, Serialize};

use super::question::{Conclusion, Judged};

/// Between "no sign of worse" and what stops a release: a tenth of it, in millinats. One good release in
/// ten gets there at most.
const SIGN_MILLINATS: i64 = 2_303;

/// One look at a comparison of users' traffic. Rates are in millionths of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = TrafficLook))]
pub struct Look {
    /// What follows from all measurements: worse if any is, not worse if all are that must be proven.
    #[serde(flatten)]
    pub verdict: Conclusion,
    /// Requests that the new release had.
    pub requests_new: u64,
    /// Requests that stable had.
    pub requests_stable: u64,
    /// Time that instances of the new release still have to warm up, in milliseconds; until then only gross
    /// errors count.
    pub warm_up_ms_left: u64,
    /// What errors and answers with a 4xx are counted by.
    pub unit: Unit,
    /// The errors; while instances warm up, and where gross errors stop the release, those of all time.
    pub errors: Judged,
    /// Answers with a 4xx, or users who got one; null where they are not compared. They can only stop a
    /// release.
    #[serde(default)]
    pub client_errors: Option<Judged>,
    /// What follows from the percentiles alone; null where none is compared.
    pub latency_verdict: Option<Conclusion>,
    /// The percentiles, the lowest first.
    pub latency: Vec<PercentileLook>,
    /// The errors against the most that they may be; null where nothing is said about that.
    #[serde(default)]
    pub error_ceiling: Option<CeilingLook>,
    /// Answers slower than the most that the highest percentile may take; null where nothing is said about
    /// that.
    #[serde(default)]
    pub latency_ceiling: Option<CeilingLook>,
    /// The instance that most errors are of. Without it the release is not found worse.
    #[serde(default)]
    pub culprit: Option<Culprit>,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests.
    Requests,
    /// Users, where they stick to a slice: each counts once at each share.
    Users,
}

/// One percentile at one look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PercentileLook {
    /// Which percentile.
    pub percent: u8,
    /// It can only stop a release, and need not be proven.
    pub only_stops: bool,
    /// Latency of the new release at this percentile since the present share began, in microseconds.
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

/// A rate of the new release at the present share against the most that it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CeilingLook {
    /// Worse: surely above. Not worse: measured not to be above.
    #[serde(flatten)]
    pub verdict: Conclusion,
    /// The new release's rate.
    pub new_ppm: i64,
    /// Most that it may be.
    pub max_ppm: u32,
}

/// One instance that has far more of the latest errors than of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Culprit {
    /// Id of the instance.
    pub instance: String,
    /// Its errors.
    pub errors: u64,
    /// The errors of all instances of the new release.
    pub of: u64,
}

/// How much speaks for "worse" while nothing is sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// Nothing.
    None,
    /// A little, as chance brings it about often.
    Slight,
    /// A tenth of what would stop the release, or more.
    Strong,
}

impl Look {
    /// How much speaks for "worse".
    #[must_use]
    pub fn sign(&self) -> Sign {
        let latency = self.latency.iter().map(|it| &it.judged);
        // Errors of one instance are no sign that the release is worse.
        let errors = Some(&self.errors).filter(|_| self.culprit.is_none());
        let all = errors.into_iter().chain(&self.client_errors).chain(latency);
        let sign_of = |judged: &Judged| {
            if judged.evidence_millinats >= judged.needed_millinats - SIGN_MILLINATS {
                Sign::Strong
            } else if judged.evidence_millinats >= SIGN_MILLINATS {
                Sign::Slight
            } else {
                Sign::None
            }
        };
        all.map(sign_of).max().unwrap_or(Sign::None)
    }
}

/// Worse if any is, not worse if all are, and otherwise as much more as the slowest needs.
pub(super) fn together(verdicts: impl Iterator<Item = Conclusion>) -> Conclusion {
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

/// A verdict that may stop and need not be proven: whatever else follows from it is no matter.
pub(super) fn as_guard(verdict: Conclusion) -> Conclusion {
    match verdict {
        Conclusion::Worse => Conclusion::Worse,
        Conclusion::NotWorse | Conclusion::NotEnough { .. } => Conclusion::NotWorse,
    }
}
