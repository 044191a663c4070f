//! The gate that asks CloudWatch.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Deadline, Number, Patience, Settings};
use crate::bounds::Faults;

/// A question to CloudWatch in the account of the server group: either `alarm`, or `metric` and `max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CloudWatchGate {
    /// Shares of users at which the gate is asked, in percent (0: before any user is moved). Empty: at
    /// each stage with users on both releases or, if there is none, before the first shift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<u8>,
    /// Name of an alarm that must be in the state OK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// What is measured of the target group of the new release, over the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<CloudWatchMetric>,
    /// Maximum value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<f64>))]
    pub max: Option<Number>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = Patience::default))]
    pub patience: Patience,
    /// Time that the gate may stay open after its stage, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = u32, default = Deadline::default))]
    pub deadline: Deadline,
}

/// What an Application Load Balancer reports of a target group ("CloudWatch metrics for your
/// Application Load Balancer").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CloudWatchMetric {
    /// 99th percentile of `TargetResponseTime`, in seconds.
    TargetResponseTimeP99,
    /// `HTTPCode_Target_5XX_Count` of `RequestCount`, in percent.
    #[serde(rename = "target_5xx_percent")]
    Target5xxPercent,
}

impl fmt::Display for CloudWatchMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TargetResponseTimeP99 => "p99 response time in seconds",
            Self::Target5xxPercent => "5XX answers in percent",
        })
    }
}

/// Names of alarms: "`AlarmName`: 1 to 255 characters" (CloudWatch API reference, `PutMetricAlarm`).
pub(crate) fn alarms<'a>(
    field: &str,
    names: impl IntoIterator<Item = &'a String>,
    faults: &mut Faults,
) {
    let mut lengths = names.into_iter().map(|name| name.chars().count());
    let good = lengths.all(|length| (1..=255).contains(&length));
    faults.unless(good, field, "must be a name of 1 to 255 characters");
}

impl Settings for CloudWatchGate {
    fn at(&self) -> &[u8] {
        &self.at
    }

    fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn patience(&self) -> Option<Patience> {
        Some(self.patience)
    }

    fn faults(&self, faults: &mut Faults) {
        let asks = (
            self.alarm.is_some(),
            self.metric.is_some(),
            self.max.is_some(),
        );
        let one = matches!(asks, (true, false, false) | (false, true, true));
        let rule = "must be given alone, or metric together with max";
        faults.unless(one, "gates.alarm", rule);
        let positive = self.max.is_none_or(|max| max.0.is_finite() && max.0 >= 0.0);
        faults.unless(
            positive,
            "gates.max",
            "must be a number that is not negative",
        );
        alarms("gates.alarm", &self.alarm, faults);
    }
}

impl fmt::Display for CloudWatchGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.alarm, &self.metric) {
            (Some(alarm), _) => write!(f, "CloudWatch alarm {alarm}"),
            (None, Some(metric)) => write!(f, "{metric} by CloudWatch"),
            (None, None) => f.write_str("CloudWatch"),
        }
    }
}
