//! Asks CloudWatch what users got, once a minute and about all server groups at once.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{MetricDataQuery, StatusCode},
};
use domain::{
    catalogue::AwsGroup,
    effect::Target,
    names::Place,
    time::UnixMs,
    traffic::{ByMinute, MINUTE_MS},
};
use engine::ports::{ErrorKind, ProviderError};
use tokio::sync::Mutex;

use crate::{
    calls::{call::GET_METRIC_DATA, clients::Clients, errors::invalid},
    metrics::{
        settled::{Minutes, Sides},
        sums::{self, QUESTIONS, Said},
    },
    server_group::SLICES,
};

/// Most questions in one call (`GetMetricData`, API reference, read 2026-11).
const QUESTIONS_MAX: usize = 500;
/// Most pages of one answer that are read. One page holds 100,800 values; an hour of 500 metrics has 30,000.
const PAGES_MAX: usize = 8;
/// After a failed call the next one comes so much later, in milliseconds.
const AGAIN_MS: u64 = 15_000;
/// Groups that are due within this time are asked about with those that are due now, in milliseconds.
const TOGETHER_MS: u64 = 20_000;

/// What is known of each server group whose users are counted.
#[derive(Debug, Default)]
pub struct Counts(Mutex<BTreeMap<Place, Counted>>);

/// One server group.
#[derive(Debug)]
struct Counted {
    /// Its load balancer, `app/NAME/ID`, and its target groups, blue first.
    of: (String, [String; 2]),
    minutes: Minutes,
    /// When the next question is due.
    due_at: UnixMs,
    asked_at: UnixMs,
    trouble: Option<String>,
}

impl Counts {
    /// The requests of the last hour to those of these server groups that are compared.
    pub async fn read(
        &self,
        clients: &Clients,
        groups: &[(&Target, &AwsGroup)],
        now: UnixMs,
    ) -> BTreeMap<Place, ByMinute> {
        let mut known = self.0.lock().await;
        let mut wanted = Vec::new();
        let mut shown = BTreeMap::new();
        for (target, aws) in groups.iter().filter(|(target, _)| target.compares) {
            match counted_by(aws) {
                Ok(of) => {
                    wanted.push(&target.place);
                    know(&mut known, &target.place, of);
                }
                Err(error) => {
                    let nothing = Minutes::default().settled(Some(error.message));
                    shown.insert(target.place.clone(), nothing);
                }
            }
        }
        let due = |counted: &Counted, ahead_ms| {
            now.plus_ms(ahead_ms) >= counted.due_at || now < counted.asked_at
        };
        if wanted.iter().any(|place| due(&known[place], 0)) {
            let mut asked: Vec<&mut Counted> = known
                .iter_mut()
                .filter(|(place, it)| wanted.contains(place) && due(it, TOGETHER_MS))
                .map(|(_, it)| it)
                .collect();
            for together in asked.chunks_mut(QUESTIONS_MAX / (2 * QUESTIONS)) {
                ask(clients, together, now).await;
            }
        }
        for place in wanted {
            let Counted {
                minutes, trouble, ..
            } = &known[place];
            shown.insert(place.clone(), minutes.settled(trouble.clone()));
        }
        shown
    }
}

/// What counts the requests to a server group, where somebody does.
fn counted_by(aws: &AwsGroup) -> Result<(String, [String; 2]), ProviderError> {
    let (listener, target_groups) = aws.splits_requests().ok_or_else(|| {
        invalid("CloudWatch counts requests where a listener splits them between two target groups")
    })?;
    let balancer = sums::balancer_of_listener(listener).filter(|it| it.starts_with("app/"));
    let balancer = balancer.ok_or_else(|| {
        invalid(format!(
            "only Application Load Balancers count requests, and {listener} is of none"
        ))
    })?;
    Ok((balancer.to_owned(), target_groups.map(str::to_owned)))
}

fn know(known: &mut BTreeMap<Place, Counted>, place: &Place, of: (String, [String; 2])) {
    if known.get(place).is_some_and(|it| it.of == of) {
        return;
    }
    let new = Counted {
        of,
        minutes: Minutes::default(),
        due_at: UnixMs(0),
        asked_at: UnixMs(0),
        trouble: None,
    };
    known.insert(place.clone(), new);
}

/// One call for all of these groups.
async fn ask(clients: &Clients, groups: &mut [&mut Counted], now: UnixMs) {
    let from = groups.iter().map(|it| it.minutes.open_from(now)).min();
    let answers = said(clients, groups, from.unwrap_or(now), now).await;
    match answers {
        Ok(answers) => {
            for (group, answer) in groups.iter_mut().zip(answers) {
                let own_from = group.minutes.open_from(now);
                group.minutes.learn(own_from, answer, now);
                group.trouble = None;
                (group.asked_at, group.due_at) = (now, now.plus_ms(MINUTE_MS));
            }
        }
        Err(error) => {
            for group in groups {
                group.trouble = Some(error.message.clone());
                (group.asked_at, group.due_at) = (now, now.plus_ms(AGAIN_MS));
            }
        }
    }
}

/// The minutes of each group from `from` on.
async fn said(
    clients: &Clients,
    groups: &[&mut Counted],
    from: UnixMs,
    now: UnixMs,
) -> Result<Vec<BTreeMap<UnixMs, Sides>>, ProviderError> {
    let arms = groups.iter().enumerate().flat_map(|(n, group)| {
        let (balancer, target_groups) = &group.of;
        let sides = target_groups.iter().enumerate();
        sides.map(move |(side, arn)| (format!("g{n}s{side}"), sums::dimensions(arn, balancer)))
    });
    let arms: Vec<_> = arms.collect();
    let questions = arms
        .iter()
        .flat_map(|(prefix, dimensions)| sums::questions(prefix, dimensions));
    let mut said = values(clients, questions.collect(), from, now).await?;
    let mut of_arm = |prefix: &str| -> Said {
        let ids = (0..QUESTIONS).map(|index| format!("{prefix}_{index}"));
        ids.map(|id| said.remove(&id).unwrap_or_default()).collect()
    };
    let pairs = (0..groups.len()).map(|n| {
        let mut minutes: BTreeMap<UnixMs, Sides> = BTreeMap::new();
        for (side, slice) in SLICES.into_iter().enumerate() {
            for (at, traffic) in sums::traffic(&of_arm(&format!("g{n}s{side}"))) {
                minutes.entry(at).or_default().insert(slice, traffic);
            }
        }
        minutes
    });
    Ok(pairs.collect())
}

/// The values of each question, by its id and by minute.
async fn values(
    clients: &Clients,
    questions: Vec<MetricDataQuery>,
    from: UnixMs,
    now: UnixMs,
) -> Result<BTreeMap<String, BTreeMap<UnixMs, f64>>, ProviderError> {
    let mut values: BTreeMap<String, BTreeMap<UnixMs, f64>> = BTreeMap::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let request = clients
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(questions.clone()))
            .start_time(DateTime::from_millis(from.0))
            .end_time(DateTime::from_millis(now.0))
            .set_next_token(token);
        let answer = clients.make(&GET_METRIC_DATA, request.send()).await?;
        for result in answer.metric_data_results() {
            if matches!(
                result.status_code(),
                Some(StatusCode::InternalError | StatusCode::Forbidden)
            ) {
                let text = "CloudWatch did not answer all of the questions about users' requests";
                return Err(ProviderError::new(ErrorKind::Unavailable, text));
            }
            let of_id = values
                .entry(result.id().unwrap_or_default().to_owned())
                .or_default();
            let at = |time: &DateTime| UnixMs(time.secs().saturating_mul(1000));
            let points = result
                .timestamps()
                .iter()
                .map(at)
                .zip(result.values().iter().copied());
            of_id.extend(points);
        }
        token = answer.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(values);
        }
    }
    let text = "CloudWatch's answer about users' requests has no end";
    Err(ProviderError::new(ErrorKind::Unavailable, text))
}
