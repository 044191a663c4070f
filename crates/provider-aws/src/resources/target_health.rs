//! Who is healthy: target health where there are target groups, EC2's status checks where not.
//!
//! `HealthStatus: Healthy` of an Auto Scaling group is only an initial value; it proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum;
use domain::time::UnixMs;
use engine::ports::ProviderError;

use crate::calls::{clients::Clients, errors::failed, rate_limiter::Bucket};

const TARGETS: &str = "elb:DescribeTargetHealth";
const STATUS: &str = "ec2:DescribeInstanceStatus";
const INSTANCES: &str = "ec2:DescribeInstances";
/// Most instances that are asked for by id in one call.
const IDS_MAX: usize = 100;

/// What a target group says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It gets requests.
    Healthy,
    /// Not yet: its first checks are under way.
    Initial,
    /// It fails its checks.
    Unhealthy,
    /// It gets no new requests.
    Draining,
}

/// Longest text that is kept of why a target fails its checks, in characters.
const REASON_MAX: usize = 200;

/// The targets of one target group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    states: BTreeMap<String, Health>,
    reasons: BTreeMap<String, String>,
}

impl Targets {
    /// What is said of `id`; `None`: it is not registered.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Health> {
        self.states.get(id).copied()
    }

    /// Why `id` fails its checks.
    #[must_use]
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.reasons.get(id).map(String::as_str)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.states.len()
    }

    /// One instance may be registered with several ports: the worst counts.
    pub fn note(&mut self, id: &str, health: Health, reason: Option<&str>) {
        let states = self.states.entry(id.to_owned());
        states
            .and_modify(|it| *it = worse(*it, health))
            .or_insert(health);
        let reason = reason.filter(|_| health == Health::Unhealthy);
        if let Some(reason) = reason {
            let reason = reason.chars().take(REASON_MAX).collect();
            self.reasons.insert(id.to_owned(), reason);
        }
    }
}

/// What one target group says. The caller has taken the token.
pub async fn health(clients: &Clients, target_group: &str) -> Result<Targets, ProviderError> {
    let request = clients.elb.describe_target_health();
    let answer = request.target_group_arn(target_group).send().await;
    let answer = answer.map_err(|error| failed(TARGETS, &error))?;
    let mut targets = Targets::default();
    for description in answer.target_health_descriptions() {
        let id = description.target().and_then(|target| target.id());
        let said = description.target_health();
        if let (Some(id), Some(state)) = (id, said.and_then(|it| it.state())) {
            let reason = said.and_then(|it| it.description());
            targets.note(id, of_state(state), reason);
        }
    }
    Ok(targets)
}

/// The operation that [`health`] makes, and its bucket.
pub const HEALTH_CALL: (Bucket, &str) = (Bucket::ElbRead, TARGETS);

fn of_state(state: &TargetHealthStateEnum) -> Health {
    match state {
        TargetHealthStateEnum::Healthy => Health::Healthy,
        TargetHealthStateEnum::Draining | TargetHealthStateEnum::UnhealthyDraining => {
            Health::Draining
        }
        TargetHealthStateEnum::Unhealthy => Health::Unhealthy,
        // `unused` (in no listener's rule), `unavailable` (no health checks) and words of tomorrow:
        // nothing that proves health.
        _ => Health::Initial,
    }
}

fn worse(one: Health, other: Health) -> Health {
    let rank = |health| match health {
        Health::Draining => 0,
        Health::Unhealthy => 1,
        Health::Initial => 2,
        Health::Healthy => 3,
    };
    if rank(one) <= rank(other) { one } else { other }
}

/// Those of `ids` whose status checks passed.
pub async fn passed_status_checks(
    clients: &Clients,
    ids: &[String],
) -> Result<BTreeSet<String>, ProviderError> {
    let mut passed = BTreeSet::new();
    for ids in ids.chunks(IDS_MAX) {
        clients.calls.take(Bucket::Ec2Read, STATUS).await;
        let request = clients.ec2.describe_instance_status();
        let answer = request.set_instance_ids(Some(ids.to_vec())).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => match failed(STATUS, &error) {
                // One of them is gone, or not known everywhere yet: the next look knows more.
                gone if gone.kind == engine::ports::ErrorKind::Missing => continue,
                other => return Err(other),
            },
        };
        let ok = |summary: Option<&aws_sdk_ec2::types::InstanceStatusSummary>| {
            summary.and_then(|it| it.status()).map(|it| it.as_str()) == Some("ok")
        };
        for status in answer.instance_statuses() {
            if ok(status.instance_status()) && ok(status.system_status()) {
                passed.extend(status.instance_id().map(str::to_owned));
            }
        }
    }
    Ok(passed)
}

/// What EC2 knows of an instance and what never changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Born {
    /// When it was launched.
    pub at: UnixMs,
    /// Its image.
    pub image: String,
    /// Its instance type.
    pub kind: String,
    /// It runs on spare capacity that AWS may take back.
    pub spot: bool,
}

/// When instances were launched, and from which image. Those that EC2 does not know yet are left
/// out.
pub async fn born(
    clients: &Clients,
    ids: &[String],
) -> Result<BTreeMap<String, Born>, ProviderError> {
    let mut found = BTreeMap::new();
    for ids in ids.chunks(IDS_MAX) {
        let filter = aws_sdk_ec2::types::Filter::builder();
        let filter = filter
            .name("instance-id")
            .set_values(Some(ids.to_vec()))
            .build();
        let mut next = None;
        loop {
            clients.calls.take(Bucket::Ec2Read, INSTANCES).await;
            let request = clients.ec2.describe_instances().filters(filter.clone());
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| failed(INSTANCES, &error))?;
            for instance in page.reservations().iter().flat_map(|it| it.instances()) {
                let born = instance.launch_time().and_then(|at| at.to_millis().ok());
                if let (Some(id), Some(at)) = (instance.instance_id(), born) {
                    let image = instance.image_id().unwrap_or_default().to_owned();
                    let kind = instance.instance_type().map(|it| it.as_str().to_owned());
                    found.insert(
                        id.to_owned(),
                        Born {
                            at: UnixMs(at),
                            image,
                            kind: kind.unwrap_or_default(),
                            spot: instance.instance_lifecycle().is_some(),
                        },
                    );
                }
            }
            next = page
                .next_token()
                .filter(|it| !it.is_empty())
                .map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
    }
    Ok(found)
}
