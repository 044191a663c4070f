//! The sums of one target group, as questions to CloudWatch and as what routers count.
//!
//! Source: "CloudWatch metrics for your Application Load Balancer" and "Statistics definitions" of the
//! CloudWatch user guide (read 2026-11). There is no metric per target group for answers that never came,
//! so they are what is missing between the requests and those with a response time.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use domain::{
    time::UnixMs,
    traffic::{BUCKET_LAST, Histogram, Traffic, bucket_end_us},
};

/// Load balancers report once a minute.
const PERIOD_SECONDS: i32 = 60;
/// Response times are told apart from the end of this bucket (3.2 ms) to that of the other (6.6 s).
const BUCKET_FIRST: u8 = 20;
const BUCKET_MOST: u8 = 64;
/// Metrics and statistics that are no response times, in the order of the questions.
const COUNTS: [(&str, &str); 5] = [
    ("RequestCount", "Sum"),
    ("HTTPCode_Target_5XX_Count", "Sum"),
    ("HTTPCode_Target_4XX_Count", "Sum"),
    ("TargetConnectionErrorCount", "Sum"),
    ("TargetResponseTime", "SampleCount"),
];
/// How many questions are asked about one target group.
pub const QUESTIONS: usize = COUNTS.len() + (BUCKET_MOST - BUCKET_FIRST + 1) as usize;

/// What CloudWatch said to each question about one target group, by minute.
pub type Said = Vec<BTreeMap<UnixMs, f64>>;

/// The dimensions of a target group's metrics; `balancer` is `app/NAME/ID`.
pub fn dimensions(target_group: &str, balancer: &str) -> Vec<Dimension> {
    let group = target_group.rsplit(':').next().unwrap_or_default();
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    vec![
        dimension("TargetGroup", group),
        dimension("LoadBalancer", balancer),
    ]
}

/// `...:listener/app/NAME/ID/LISTENER` is of `app/NAME/ID`.
pub fn balancer_of_listener(arn: &str) -> Option<&str> {
    let (_, rest) = arn.split_once(":listener/")?;
    rest.rsplit_once('/').map(|(balancer, _)| balancer)
}

/// A question about one metric of a target group.
pub fn question(
    id: &str,
    dimensions: &[Dimension],
    (metric, statistic): (&str, &str),
) -> MetricDataQuery {
    let metric = Metric::builder()
        .namespace("AWS/ApplicationELB")
        .metric_name(metric)
        .set_dimensions(Some(dimensions.to_vec()))
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(PERIOD_SECONDS)
        .stat(statistic);
    let query = MetricDataQuery::builder().id(id);
    query.metric_stat(stat.build()).return_data(true).build()
}

/// Every question about a target group; the ids are `PREFIX_0` and so on.
pub fn questions(prefix: &str, dimensions: &[Dimension]) -> Vec<MetricDataQuery> {
    let counts = COUNTS.map(|(metric, statistic)| (metric, statistic.to_owned()));
    let ranks = buckets().map(|(_, end_us)| {
        let seconds = end_us as f64 / 1e6;
        ("TargetResponseTime", format!("PR(:{seconds})"))
    });
    let all = counts.into_iter().chain(ranks).enumerate();
    all.map(|(index, (metric, statistic))| {
        let id = format!("{prefix}_{index}");
        question(&id, dimensions, (metric, &statistic))
    })
    .collect()
}

fn buckets() -> impl Iterator<Item = (u8, u64)> {
    let all = BUCKET_FIRST..=BUCKET_MOST;
    all.filter_map(|bucket| Some((bucket, bucket_end_us(bucket)?)))
}

/// What a router would have counted of the minutes that have requests.
pub fn traffic(said: &Said) -> BTreeMap<UnixMs, Traffic> {
    let requests = said.first().into_iter().flatten();
    let of_minute = |(at, requests): (&UnixMs, &f64)| {
        let count = |index: usize| whole(said.get(index).and_then(|it| it.get(at)).copied());
        let [errors, client_errors, refused, answered] = [1, 2, 3, 4].map(count);
        let requests = whole(Some(*requests));
        // A request that no connection was made for was not answered by the release.
        let errors = errors.saturating_add(refused).min(requests);
        let unanswered = requests.saturating_sub(answered).saturating_sub(refused);
        let traffic = Traffic {
            requests,
            errors,
            client_errors: client_errors.min(requests),
            abandoned: unanswered,
            latency: latency(said, *at, answered, unanswered),
            ..Traffic::default()
        };
        (*at, traffic)
    };
    requests
        .map(of_minute)
        .filter(|it| it.1.requests > 0)
        .collect()
}

/// How long answers took. Those that never came took longest; where CloudWatch ranks none, nothing is known.
fn latency(said: &Said, at: UnixMs, answered: u64, unanswered: u64) -> Histogram {
    let mut histogram = Histogram::default();
    let mut below = 0;
    for ((bucket, _), ranks) in buckets().zip(said.iter().skip(COUNTS.len())) {
        if answered == 0 {
            break;
        }
        let Some(percent) = ranks.get(&at) else {
            return Histogram::default();
        };
        let up_to = whole(Some(percent / 100.0 * answered as f64)).clamp(below, answered);
        if up_to > below {
            histogram.buckets.insert(bucket, up_to - below);
        }
        below = up_to;
    }
    let slower = answered - below + unanswered;
    if slower > 0 {
        histogram.buckets.insert(BUCKET_LAST, slower);
    }
    histogram
}

/// A number that counts things.
fn whole(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0).max(0.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMs = UnixMs(60_000);

    /// A minute with these counts, and response times in seconds.
    fn said(counts: [f64; 4], seconds: &[f64]) -> Said {
        let rank = |end_us: u64| {
            let below = seconds.iter().filter(|it| **it * 1e6 <= end_us as f64);
            100.0 * below.count() as f64 / seconds.len() as f64
        };
        let samples = [seconds.len() as f64];
        let all = counts.into_iter().chain(samples);
        let all = all.chain(buckets().map(|(_, end_us)| rank(end_us)));
        all.map(|value| [(AT, value)].into()).collect()
    }

    #[test]
    fn sums_are_what_a_router_counts() {
        let mut seconds = vec![0.001; 500];
        seconds.extend([0.1; 480]);
        seconds.extend([20.0; 5]);
        // Five connections were refused, ten requests were never answered.
        let counted = traffic(&said([1000.0, 20.0, 40.0, 5.0], &seconds));
        let one = &counted[&AT];
        assert_eq!(
            (one.requests, one.errors, one.client_errors),
            (1000, 25, 40)
        );
        assert_eq!(one.abandoned, 10);
        assert_eq!(one.latency.count(), 995);
        assert_eq!(one.latency.buckets[&BUCKET_FIRST], 500);
        assert_eq!(one.latency.buckets[&BUCKET_LAST], 15, "the slowest of all");
        let p95 = one.latency.percentile_us(95).expect("it is known");
        assert!((90_000..120_000).contains(&p95), "{p95}");
    }

    #[test]
    fn what_cloudwatch_does_not_know_is_not_made_up() {
        let mut unknown = said([1000.0, 0.0, 0.0, 0.0], &[0.1; 1000]);
        unknown.truncate(COUNTS.len());
        unknown.resize(QUESTIONS, BTreeMap::new());
        let counted = traffic(&unknown);
        assert_eq!(counted[&AT].requests, 1000);
        assert_eq!(counted[&AT].latency, Histogram::default());
        assert!(traffic(&vec![BTreeMap::new(); QUESTIONS]).is_empty());
        assert!(traffic(&said([0.0; 4], &[0.1])).is_empty());
    }

    #[test]
    fn a_listener_belongs_to_its_load_balancer() {
        let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:listener/app/shop/50dc/f2f7";
        assert_eq!(balancer_of_listener(arn), Some("app/shop/50dc"));
    }

    #[test]
    fn a_question_has_an_id_that_cloudwatch_takes() {
        let asked = questions("p0s1", &[]);
        assert_eq!(asked.len(), QUESTIONS);
        assert_eq!(asked[0].id(), Some("p0s1_0"));
        let stat = |at: usize| asked[at].metric_stat().and_then(MetricStat::stat);
        assert_eq!(stat(COUNTS.len()), Some("PR(:0.0032)"));
        assert_eq!(stat(QUESTIONS - 1), Some("PR(:6.5536)"));
    }
}
