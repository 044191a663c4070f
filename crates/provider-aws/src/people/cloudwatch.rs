//! Gates that ask CloudWatch: an alarm, or what a load balancer reports about the new release.
//!
//! Invariant: no data is no answer. CloudWatch has no data for a minute without requests, and that must not
//! look like success.

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, StateValue},
};
use domain::{
    catalogue::AwsTraffic,
    effect::Target,
    gate::{CloudWatchGate, CloudWatchMetric, Number, Said},
    slice::Slice,
    time::UnixMs,
};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{DESCRIBE_ALARMS, DESCRIBE_TARGET_GROUPS, GET_METRIC_DATA},
        clients::Clients,
        errors::{invalid, missing},
    },
    metrics::sums,
    server_group,
};

/// How far back to look, in milliseconds: the newest complete minute may arrive late.
const LOOK_BACK_MS: u64 = 180_000;

/// Asks CloudWatch the question of `gate` about `slice`.
pub async fn ask(
    clients: &Clients,
    target: &Target,
    slice: Slice,
    gate: &CloudWatchGate,
    now: UnixMs,
) -> Said {
    let said = match (&gate.alarm, gate.metric) {
        (Some(alarm), _) => of_alarm(clients, alarm).await,
        (None, Some(metric)) => of_metric(clients, target, slice, metric, gate.max, now).await,
        (None, None) => Err(invalid("the gate names neither an alarm nor a metric")),
    };
    said.unwrap_or_else(|error| Said::Nothing {
        text: error.message,
    })
}

async fn of_alarm(clients: &Clients, name: &str) -> Result<Said, ProviderError> {
    let request = clients.cloudwatch.describe_alarms().alarm_names(name);
    let request =
        request.set_alarm_types(Some(vec!["MetricAlarm".into(), "CompositeAlarm".into()]));
    let answer = clients.make(&DESCRIBE_ALARMS, request.send()).await?;
    let metric = answer
        .metric_alarms()
        .first()
        .and_then(|it| it.state_value());
    let composite = answer
        .composite_alarms()
        .first()
        .and_then(|it| it.state_value());
    let state = metric.or(composite);
    let state = state.ok_or_else(|| missing(format!("there is no CloudWatch alarm {name}")))?;
    let text = format!("the alarm {name} is {}", state.as_str());
    Ok(match state {
        StateValue::Ok => Said::Good { text, value: None },
        StateValue::Alarm => Said::Bad { text, value: None },
        // INSUFFICIENT_DATA, and unknown words.
        _ => Said::Nothing { text },
    })
}

async fn of_metric(
    clients: &Clients,
    target: &Target,
    slice: Slice,
    metric: CloudWatchMetric,
    max: Option<Number>,
    now: UnixMs,
) -> Result<Said, ProviderError> {
    let dimensions = dimensions(clients, target, slice).await?;
    let wanted: &[(&str, &str)] = match metric {
        CloudWatchMetric::TargetResponseTimeP99 => &[("TargetResponseTime", "p99")],
        CloudWatchMetric::Target5xxPercent => &[
            ("RequestCount", "Sum"),
            ("HTTPCode_Target_5XX_Count", "Sum"),
        ],
    };
    let queries = wanted.iter().enumerate();
    let queries =
        queries.map(|(index, wanted)| sums::question(&format!("m{index}"), &dimensions, *wanted));
    let begins = UnixMs(now.0 - i64::try_from(LOOK_BACK_MS).unwrap_or(0));
    let request = clients
        .cloudwatch
        .get_metric_data()
        .set_metric_data_queries(Some(queries.collect()))
        .start_time(DateTime::from_millis(begins.0))
        .end_time(DateTime::from_millis(now.0));
    let answer = clients.make(&GET_METRIC_DATA, request.send()).await?;
    // Newest first.
    let newest = |id: &str| {
        let results = answer.metric_data_results().iter();
        let result = results.into_iter().find(|it| it.id() == Some(id))?;
        let at = result.timestamps().first().map(DateTime::secs);
        Some((at?, *result.values().first()?))
    };
    let value = match metric {
        CloudWatchMetric::TargetResponseTimeP99 => newest("m0").map(|(_, value)| value),
        CloudWatchMetric::Target5xxPercent => newest("m0").and_then(|(at, requests)| {
            // Where there are no 5XX answers, CloudWatch has no data instead of 0.
            let errors = newest("m1")
                .filter(|(when, _)| *when == at)
                .map_or(0.0, |(_, it)| it);
            (requests > 0.0).then(|| errors * 100.0 / requests)
        }),
    };
    Ok(judged(metric, value, max))
}

fn judged(metric: CloudWatchMetric, value: Option<f64>, max: Option<Number>) -> Said {
    match (value.filter(|value| value.is_finite()), max) {
        (None, _) => Said::Nothing {
            text: format!("CloudWatch has no {metric} for the last minutes"),
        },
        (Some(value), Some(max)) if value > max.0 => Said::Bad {
            text: format!("{metric}: {value} is above {max}"),
            value: Some(Number(value)),
        },
        (Some(value), _) => Said::Good {
            text: format!("{metric}: {value}"),
            value: Some(Number(value)),
        },
    }
}

/// Load balancers report per target group and load balancer.
async fn dimensions(
    clients: &Clients,
    target: &Target,
    slice: Slice,
) -> Result<Vec<Dimension>, ProviderError> {
    let aws = server_group::settings(target)?;
    let arn = match &aws.traffic {
        AwsTraffic::Attach { target_group } => Some(target_group.as_str()),
        _ => aws.target_group(slice),
    };
    let arn = arn.ok_or_else(|| {
        invalid(format!(
            "the manifest names no target group for {slice}, so CloudWatch has no metrics of it"
        ))
    })?;
    let balancer = match &aws.traffic {
        AwsTraffic::Listener { listener, .. } => {
            sums::balancer_of_listener(listener).map(str::to_owned)
        }
        _ => balancer_of_target_group(clients, arn).await?,
    };
    let balancer =
        balancer.ok_or_else(|| missing(format!("no load balancer uses the target group {arn}")))?;
    Ok(sums::dimensions(arn, &balancer))
}

async fn balancer_of_target_group(
    clients: &Clients,
    arn: &str,
) -> Result<Option<String>, ProviderError> {
    let request = clients.elb.describe_target_groups().target_group_arns(arn);
    let answer = clients
        .make(&DESCRIBE_TARGET_GROUPS, request.send())
        .await?;
    let group = answer.target_groups().first();
    let balancer = group.and_then(|group| group.load_balancer_arns().first());
    let name = balancer.and_then(|arn| arn.split_once(":loadbalancer/"));
    Ok(name.map(|(_, name)| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_data_is_no_answer() {
        let metric = CloudWatchMetric::Target5xxPercent;
        let max = Some(Number(1.0));
        assert!(matches!(judged(metric, None, max), Said::Nothing { .. }));
        assert!(matches!(
            judged(metric, Some(f64::NAN), max),
            Said::Nothing { .. }
        ));
        assert!(matches!(judged(metric, Some(0.5), max), Said::Good { .. }));
        assert!(matches!(judged(metric, Some(1.5), max), Said::Bad { .. }));
    }
}
