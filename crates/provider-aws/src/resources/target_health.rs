//! Health as target groups report it.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum;
use engine::ports::ProviderError;

use crate::calls::{call::DESCRIBE_TARGET_HEALTH, clients::Clients};

/// Longest text that is kept of why a target fails its checks, in characters.
const REASON_MAX: usize = 200;

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

/// The targets of one target group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Targets {
    states: BTreeMap<String, Health>,
    reasons: BTreeMap<String, String>,
}

impl Targets {
    /// The health of `id`; `None`: it is not registered.
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

    /// Adds a target. An instance may be registered with several ports: the worst counts.
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

/// What one target group says.
pub async fn health(clients: &Clients, target_group: &str) -> Result<Targets, ProviderError> {
    let request = clients.elb.describe_target_health();
    let request = request.target_group_arn(target_group);
    let answer = clients
        .make(&DESCRIBE_TARGET_HEALTH, request.send())
        .await?;
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

fn of_state(state: &TargetHealthStateEnum) -> Health {
    match state {
        TargetHealthStateEnum::Healthy => Health::Healthy,
        TargetHealthStateEnum::Draining | TargetHealthStateEnum::UnhealthyDraining => {
            Health::Draining
        }
        TargetHealthStateEnum::Unhealthy => Health::Unhealthy,
        // `unused` (in no listener's rule), `unavailable` (no health checks) and unknown words prove no
        // health.
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
