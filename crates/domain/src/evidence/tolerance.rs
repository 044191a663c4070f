//! How much worse than stable a release may be, and how the chance of a false stop is shared out.

use serde::{Deserialize, Serialize};

use super::question::{Margin, Question};
use crate::{
    bounds::{Faults, Limit, Limited},
    percent::Percent,
};

/// How often a release that is not worse may be stopped, in millionths of releases, over infinitely
/// many looks; and how often one that is worse by more than a margin may pass.
///
/// Everything that can stop a release has a part of it. To pass, a bad release must be cleared of what is
/// bad about it, so each measurement may spend all of it on that.
pub const ALPHA_PPM: u32 = 10_000;

/// The parts of [`ALPHA_PPM`]: errors as of the first look, errors after the warm-up, answers with a 4xx,
/// all percentiles together, and ceilings.
const GROSS_PPM: u32 = 2_500;
const ERRORS_PPM: u32 = 5_000;
const CLIENT_PPM: u32 = 500;
const LATENCY_PPM: u32 = 1_500;
const CEILING_PPM: u32 = 500;
/// While instances warm up, only so many points more errors count, and only such ratios of rates.
const GROSS: Margin = Margin {
    points_ppm: 200_000,
    percent_of_stable: 0,
};
const GROSS_RATIO: usize = 3;
/// How sure it must be that there are so many points more, because the first few requests measure little:
/// beyond 95 %.
const GROSS_NATS: f64 = 3.0;
/// How sure it must be otherwise.
const ABOVE_NATS: f64 = 1.0;
/// Percentiles above this may stop a release and need not be proven: that would take too long where some
/// answers are far slower than others.
const PROVEN_PERCENT_MAX: u8 = 95;

/// How much worse than stable the new release may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct Tolerance {
    /// Allowed increase in errors, in percentage points; hundredths count.
    #[cfg_attr(feature = "schema", schema(value_type = f64, minimum = 0.01, maximum = 100))]
    pub error_margin_points: Percent,
    /// Allowed increase in errors beyond the points, in percent of stable's own rate.
    pub error_margin_percent_of_stable: u32,
    /// Maximum rate of errors whatever stable does, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(value_type = Option<f64>, minimum = 0.01, maximum = 100)
    )]
    pub max_error_percent: Option<Percent>,
    /// Compares answers with a 4xx too. They can stop a release, and need not be proven to be as few as
    /// stable's.
    pub client_errors: bool,
    /// Allowed increase in answers with a 4xx, in percentage points.
    #[cfg_attr(feature = "schema", schema(value_type = f64, minimum = 0.01, maximum = 100))]
    pub client_error_margin_points: Percent,
    /// Percentiles of latency that are compared. Empty: latency is not compared. Those above the 95th can
    /// stop a release, and need not be proven.
    pub percentiles: Vec<u8>,
    /// Allowed increase in latency, in percent.
    pub latency_margin_percent: u32,
    /// Maximum latency at the highest of the percentiles whatever stable does, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<u32>,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            error_margin_points: Percent::hundredths(20),
            error_margin_percent_of_stable: 50,
            max_error_percent: None,
            client_errors: true,
            client_error_margin_points: Percent::hundredths(500),
            percentiles: vec![50, 95, 99],
            latency_margin_percent: 50,
            max_latency_ms: None,
        }
    }
}

impl Limited for Tolerance {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::number("error_margin_percent_of_stable", 0..=1000, |it| {
            Some(it.error_margin_percent_of_stable)
        }),
        Limit::number("latency_margin_percent", 5..=1000, |it| {
            Some(it.latency_margin_percent)
        }),
        Limit::number("max_latency_ms", 1..=60_000, |it| it.max_latency_ms),
        Limit::items("percentiles", 0..=5, |it| it.percentiles.len()),
        Limit::each("percentiles", 1..=99, |it| &it.percentiles),
    ];
}

impl Tolerance {
    /// Notes the rules that it breaks; it stands at `at`.
    pub(crate) fn faults(&self, at: &str, faults: &mut Faults) {
        faults.limits(at, self);
        let percents = [
            ("error_margin_points", Some(self.error_margin_points)),
            ("max_error_percent", self.max_error_percent),
            (
                "client_error_margin_points",
                Some(self.client_error_margin_points),
            ),
        ];
        for (field, percent) in percents {
            let good = percent.is_none_or(|it| (Percent::LEAST..=Percent::ALL).contains(&it));
            faults.unless(
                good,
                &format!("{at}.{field}"),
                "must be between 0.01 and 100",
            );
        }
        let measured = self.max_latency_ms.is_none() || !self.percentiles.is_empty();
        faults.unless(
            measured,
            &format!("{at}.max_latency_ms"),
            "must be left out where no percentile is compared",
        );
    }

    /// The same for errors alone: what is asked of counters that know nothing else.
    #[must_use]
    pub fn of_counts(points: Percent, percent_of_stable: u32) -> Self {
        Self {
            error_margin_points: points,
            error_margin_percent_of_stable: percent_of_stable,
            client_errors: false,
            percentiles: Vec::new(),
            ..Self::default()
        }
    }

    /// The percentiles that make sense, each once.
    pub(super) fn percents(&self) -> impl DoubleEndedIterator<Item = u8> {
        let mut percents = self.percentiles.clone();
        percents.retain(|percent| (1..100).contains(percent));
        percents.sort_unstable();
        percents.dedup();
        percents.into_iter()
    }

    pub(super) fn error_margin(&self) -> Margin {
        Margin {
            points_ppm: self.error_margin_points.ppm(),
            percent_of_stable: self.error_margin_percent_of_stable,
        }
    }

    /// Errors after the warm-up; `sharing` gates share the false stops.
    pub(super) fn errors(&self, sharing: u32) -> Question {
        asked(self.error_margin(), ERRORS_PPM, sharing)
    }

    /// Errors from the first look on.
    pub(super) fn gross(&self, sharing: u32) -> Question {
        Question {
            least_ratio: GROSS_RATIO,
            above_nats: GROSS_NATS,
            ..asked(GROSS, GROSS_PPM, sharing)
        }
    }

    /// Answers with a 4xx.
    pub(super) fn client(&self, sharing: u32) -> Question {
        let points_ppm = self.client_error_margin_points.ppm();
        asked(Margin::points(points_ppm), CLIENT_PPM, sharing)
    }

    /// One percentile: how many of the answers may be beyond its edge before it counts is a tenth of the
    /// tail that it leaves, such as 0.5 % of all answers for the 95th.
    pub(super) fn percentile(&self, percent: u8, sharing: u32) -> Question {
        let tail_ppm = 100_u32.saturating_sub(percent.into()) * 1000;
        let count = u32::try_from(self.percents().count()).unwrap_or(u32::MAX);
        let alpha = LATENCY_PPM / count.max(1);
        asked(Margin::points(tail_ppm), alpha, sharing)
    }

    /// The part of each ceiling.
    pub(super) fn ceiling_ppm(sharing: u32) -> u32 {
        CEILING_PPM / 2 / sharing.max(1)
    }

    /// Whether a percentile must be proven, or only may stop.
    pub(super) fn must_be_proven(percent: u8) -> bool {
        percent <= PROVEN_PERCENT_MAX
    }
}

fn asked(margin: Margin, stop_ppm: u32, sharing: u32) -> Question {
    Question {
        margin,
        stop_ppm: stop_ppm / sharing.max(1),
        pass_ppm: ALPHA_PPM,
        least_ratio: 0,
        above_nats: ABOVE_NATS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_can_stop_a_release_adds_up_to_one_percent() {
        let spent = |sharing| {
            let tolerance = Tolerance::default();
            let percentiles: u32 = tolerance
                .percents()
                .map(|percent| tolerance.percentile(percent, sharing).stop_ppm)
                .sum();
            tolerance.errors(sharing).stop_ppm
                + tolerance.gross(sharing).stop_ppm
                + tolerance.client(sharing).stop_ppm
                + percentiles
                + 2 * Tolerance::ceiling_ppm(sharing)
        };
        assert_eq!(spent(1), ALPHA_PPM);
        for gates in 2..=20 {
            assert!(gates * spent(gates) <= ALPHA_PPM, "{gates} gates");
        }
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let refused = |tolerance: Tolerance| {
            let mut faults = Faults::default();
            tolerance.faults("tolerance", &mut faults);
            faults.all().into_iter().map(|it| it.field).next()
        };
        let usual = Tolerance::default;
        assert_eq!(refused(usual()), None);
        let margin = |latency_margin_percent| Tolerance {
            latency_margin_percent,
            ..usual()
        };
        assert_eq!(refused(margin(5)), None);
        let field = |name: &str| Some(format!("tolerance.{name}"));
        assert_eq!(refused(margin(4)), field("latency_margin_percent"));
        let ceiling = Tolerance {
            max_error_percent: Some(Percent::hundredths(0)),
            ..usual()
        };
        assert_eq!(refused(ceiling), field("max_error_percent"));
        let unmeasured = Tolerance {
            max_latency_ms: Some(500),
            percentiles: Vec::new(),
            ..usual()
        };
        assert_eq!(refused(unmeasured), field("max_latency_ms"));
    }

    #[test]
    fn a_tolerance_names_its_fields() {
        let empty: Tolerance = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Tolerance::default());
        let unknown = serde_json::from_str::<Tolerance>(r#"{"errors": 3}"#).unwrap_err();
        assert!(
            unknown.to_string().contains("unknown field `errors`"),
            "{unknown}"
        );
    }
}
