//! What target groups say, asked no more often than it can change and AWS's rate limits allow.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::time::UnixMs;
use engine::ports::ProviderError;
use futures_util::{StreamExt, stream};

use crate::{
    calls::{call::DESCRIBE_TARGET_HEALTH, clients::Clients, retry::retry},
    resources::{
        groups::{Group, Member},
        target_health::{self, Health, Targets},
    },
};

/// How many target groups are asked at once.
const AT_ONCE: usize = 8;
/// While the rate limit is used up, an answer is shown up to this age, in milliseconds.
const AGE_MS_MAX: u64 = 30_000;
/// Polls are never exactly the usual interval apart; this is the difference that does not count, in
/// milliseconds.
const JITTER_MS: u64 = 500;

/// An answer and its age in milliseconds.
type Aged = (u64, Targets);

/// The last answer of each target group, by ARN.
#[derive(Debug)]
pub struct HealthCache {
    /// The usual time between two polls.
    poll_every: Duration,
    answers: Mutex<BTreeMap<String, (UnixMs, Targets)>>,
}

impl HealthCache {
    /// An empty cache for an account that is usually polled at this interval.
    pub fn new(poll_every: Duration) -> Self {
        Self {
            poll_every,
            answers: Mutex::default(),
        }
    }

    /// What the target groups of these groups say. A group without members has none to ask about.
    pub async fn read(
        &self,
        clients: &Clients,
        groups: &BTreeMap<String, Group>,
        now: UnixMs,
    ) -> BTreeMap<String, Result<Aged, ProviderError>> {
        let mut members: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
        for group in groups.values().filter(|group| !group.members.is_empty()) {
            for arn in &group.target_groups {
                members.entry(arn).or_default().extend(&group.members);
            }
        }
        let mut health = BTreeMap::new();
        let mut open = Vec::new();
        for (arn, members) in members {
            match self.settled(arn, &members, now) {
                Some(answer) => drop(health.insert(arn.to_owned(), Ok(answer))),
                None => open.push(arn.to_owned()),
            }
        }
        // The oldest answers come first, so that no target group is left out where calls run short.
        open.sort_by_cached_key(|arn| self.lock().get(arn).map(|(at, _)| *at));
        let asked = stream::iter(open).map(|arn| async move {
            let answer = self.ask(clients, &arn, now).await;
            (arn, answer)
        });
        let answers: Vec<_> = asked.buffer_unordered(AT_ONCE).collect().await;
        health.extend(answers);
        health
    }

    /// The last answer, where nothing is in motion: it is younger than the usual interval, every member
    /// is in service and was healthy, and there were no other targets.
    fn settled(&self, arn: &str, members: &[&Member], now: UnixMs) -> Option<Aged> {
        let (at, targets) = self.lock().get(arn).cloned()?;
        let age_ms = now.since_ms(at);
        let fresh = u128::from(age_ms + JITTER_MS) < self.poll_every.as_millis();
        let settled = members.len() == targets.count()
            && members.iter().all(|member| {
                member.is_in_service() && targets.get(&member.id) == Some(Health::Healthy)
            });
        (fresh && settled).then_some((age_ms, targets))
    }

    async fn ask(&self, clients: &Clients, arn: &str, now: UnixMs) -> Result<Aged, ProviderError> {
        if !clients.limiter.has_token(&DESCRIBE_TARGET_HEALTH)
            && let Some(recent) = self.recent(arn, now)
        {
            return Ok(recent);
        }
        let targets = retry(|| target_health::health(clients, arn)).await?;
        let mut answers = self.lock();
        answers.retain(|_, (at, _)| now.since_ms(*at) <= AGE_MS_MAX);
        answers.insert(arn.to_owned(), (now, targets.clone()));
        Ok((0, targets))
    }

    fn recent(&self, arn: &str, now: UnixMs) -> Option<Aged> {
        let (at, targets) = self.lock().get(arn).cloned()?;
        let age_ms = now.since_ms(at);
        (age_ms <= AGE_MS_MAX).then_some((age_ms, targets))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (UnixMs, Targets)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
