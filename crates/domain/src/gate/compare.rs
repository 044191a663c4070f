//! The gate that compares counters of a Prometheus.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Mode, OnDeadline, Patience, Settings};
use crate::{
    bounds::{Faults, Limit, Limited, TEXT_MAX},
    evidence::Tolerance,
    names::PrometheusName,
    percent::Percent,
};

/// Counters of a Prometheus, new against stable, judged like errors of users' traffic: failed checkouts of
/// all checkouts, say. Each query is asked for the new release and for stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompareGate {
    /// Shares of users at which the gate is asked, in percent. Empty: at each stage with users on both
    /// releases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// What follows from what is measured.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = Mode::default))]
    pub mode: Mode,
    /// Name of the Prometheus in the catalogue.
    pub prometheus: PrometheusName,
    /// Address of the server; set from the catalogue when a deployment begins.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Query in PromQL for how many went wrong so far: a sum of counters. `$version` and `$slice` stand for
    /// those of the release.
    pub bad: String,
    /// Query in PromQL for how many there were so far.
    pub all: String,
    /// Allowed increase, in percentage points; hundredths count.
    #[serde(default = "points")]
    #[cfg_attr(
        feature = "schema",
        schema(value_type = f64, minimum = 0.01, maximum = 100, default = points)
    )]
    pub margin_points: Percent,
    /// Allowed increase beyond the points, in percent of stable's own rate.
    #[serde(default = "percent_of_stable")]
    #[cfg_attr(feature = "schema", schema(default = percent_of_stable))]
    pub margin_percent_of_stable: u32,
    /// Time at the beginning of each stage in which only gross differences count, in seconds.
    #[serde(default = "warm_up_seconds")]
    #[cfg_attr(feature = "schema", schema(default = warm_up_seconds))]
    pub warm_up_seconds: u32,
    /// Time between two questions, in seconds.
    #[serde(default = "interval_seconds")]
    #[cfg_attr(feature = "schema", schema(default = interval_seconds))]
    pub interval_seconds: u32,
    /// Time that the gate may stay open after its stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = Deadline::default))]
    pub deadline: Deadline,
    /// What follows if it is still open then.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = OnDeadline::default))]
    pub on_deadline: OnDeadline,
}

fn points() -> Percent {
    Tolerance::default().error_margin_points
}

fn percent_of_stable() -> u32 {
    Tolerance::default().error_margin_percent_of_stable
}

fn warm_up_seconds() -> u32 {
    super::TrafficGate::default().warm_up_seconds
}

fn interval_seconds() -> u32 {
    Patience::default().interval_seconds
}

impl CompareGate {
    /// A gate on these queries, with every other setting as if it had been left out.
    #[must_use]
    pub fn new(prometheus: PrometheusName, bad: String, all: String) -> Self {
        Self {
            at: Vec::new(),
            mode: Mode::default(),
            prometheus,
            url: String::new(),
            bad,
            all,
            margin_points: points(),
            margin_percent_of_stable: percent_of_stable(),
            warm_up_seconds: warm_up_seconds(),
            interval_seconds: interval_seconds(),
            deadline: Deadline::default(),
            on_deadline: OnDeadline::default(),
        }
    }

    /// Both queries ask about one release: they contain `$version` or `$slice`.
    #[must_use]
    pub fn tells_releases_apart(&self) -> bool {
        let tells = |query: &String| query.contains("$version") || query.contains("$slice");
        tells(&self.bad) && tells(&self.all)
    }

    /// What is tolerated, as the comparison of traffic says it.
    #[must_use]
    pub fn tolerance(&self) -> Tolerance {
        Tolerance::of_counts(self.margin_points, self.margin_percent_of_stable)
    }
}

impl Limited for CompareGate {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::bytes("bad", 1..=TEXT_MAX, |it| Some(it.bad.len())),
        Limit::bytes("all", 1..=TEXT_MAX, |it| Some(it.all.len())),
        Limit::number("margin_percent_of_stable", 0..=1000, |it| {
            Some(it.margin_percent_of_stable)
        }),
        Limit::number("warm_up_seconds", 0..=3600, |it| Some(it.warm_up_seconds)),
        Limit::number("interval_seconds", 1..=3600, |it| Some(it.interval_seconds)),
    ];
}

impl Settings for CompareGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn on_deadline(&self) -> OnDeadline {
        self.on_deadline
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn patience(&self) -> Option<Patience> {
        Some(Patience {
            interval_seconds: self.interval_seconds,
            ..Patience::default()
        })
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("gates", self);
        let good = (Percent::LEAST..=Percent::ALL).contains(&self.margin_points);
        faults.unless(good, "gates.margin_points", "must be between 0.01 and 100");
        super::compares_at(&self.at, faults);
        let rule =
            "must contain $version or $slice, which stand for the release that is asked about";
        faults.unless(self.tells_releases_apart(), "gates.bad and gates.all", rule);
        faults.printable("gates.bad", &self.bad);
        faults.printable("gates.all", &self.all);
    }
}

impl fmt::Display for CompareGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} against stable", self.bad, self.prometheus)
    }
}
