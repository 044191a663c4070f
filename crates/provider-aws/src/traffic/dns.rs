//! Weights at Route 53: one weighted record per slice, both changed in one batch.
//!
//! The shares are of DNS answers. A change counts as served once Route 53 says INSYNC and the answers
//! that were given before have expired (their TTL; 60 s for an alias to a load balancer).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecordSet};
use domain::{observation::Slice, time::UnixMs, users::Weights};
use engine::ports::ProviderError;

use crate::{
    calls::{
        clients::Clients,
        errors::{failed, invalid, missing},
        rate_limiter::Bucket,
    },
    server_group::SLICES,
    traffic::weights::{self, Split},
};

const LIST: &str = "route53:ListResourceRecordSets";
const CHANGE: &str = "route53:ChangeResourceRecordSets";
const GET_CHANGE: &str = "route53:GetChange";
/// TTL of the answers for an alias to a load balancer ("Choosing between alias and non-alias
/// records", 2026-11).
const ALIAS_TTL_SECONDS: i64 = 60;
/// Most changes on top of each other whose weights are remembered.
const CHANGES_MAX: usize = 16;
/// How long a change usually takes at most until every server of Route 53 has it, in milliseconds.
const INSYNC_MS: u64 = 60_000;

/// The records that split the users of a server group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Records {
    /// Id of the hosted zone.
    pub zone: String,
    /// The name of both records, with the final dot.
    pub name: String,
    /// Their `SetIdentifier`s, that of blue first.
    pub identifiers: Vec<String>,
}

impl Records {
    /// The records that the settings of a server group name.
    #[must_use]
    pub fn new(zone: &str, name: &str, identifiers: &[String]) -> Self {
        Self {
            zone: zone.to_owned(),
            name: format!("{}.", name.trim_end_matches('.').to_ascii_lowercase()),
            identifiers: identifiers.to_vec(),
        }
    }
}

/// Changes that may still be on their way to resolvers.
#[derive(Debug, Default)]
pub struct PendingChanges(Mutex<BTreeMap<Records, Memory>>);

/// What this process remembers of the records of one server group.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// The weights from before the pending changes, which resolvers may still answer with.
    before: Vec<Weights>,
    /// When this process first read the records.
    since: UnixMs,
    pending: Option<Pending>,
}

#[derive(Debug, Clone)]
struct Pending {
    change: String,
    in_sync_at: Option<UnixMs>,
}

/// How the records split the users. While a change is pending the weights are the mean of all that
/// resolvers may answer with, so that nobody takes one of them for the whole truth.
pub async fn read(
    clients: &Clients,
    changes: &PendingChanges,
    records: &Records,
    now: UnixMs,
) -> Result<Split, ProviderError> {
    let listed = list(clients, records).await?;
    let (weights, obstacles) = weights_of(&listed, records);
    let ttl_ms = ttl_ms(&listed);
    let mut memory = changes.of(records, now);
    if let Some(pending) = memory.pending.take() {
        let in_sync_at = match pending.in_sync_at {
            Some(at) => Some(at),
            None => in_sync(clients, &pending.change).await?.then_some(now),
        };
        let served = in_sync_at.is_some_and(|at| now.since_ms(at) >= ttl_ms);
        memory.pending = (!served).then_some(Pending {
            in_sync_at,
            ..pending
        });
    }
    if memory.pending.is_none() {
        memory.before.clear();
    }
    // Somebody may have changed the records just before this process first read them.
    let settled = memory.pending.is_none() && now.since_ms(memory.since) > ttl_ms + INSYNC_MS;
    let split = Split {
        weights: mean(&memory.before, &weights),
        stale_ms: if settled { 0 } else { ttl_ms + INSYNC_MS },
        obstacles,
    };
    changes.remember(records, memory);
    Ok(split)
}

/// Changes both weights in one batch.
pub async fn write(
    clients: &Clients,
    changes: &PendingChanges,
    records: &Records,
    weights: &Weights,
    now: UnixMs,
) -> Result<(), ProviderError> {
    if weights.served().next().is_none() {
        return Err(invalid(
            "Route 53 answers with every record when all weights are 0; nobody can be left without one",
        ));
    }
    let listed = list(clients, records).await?;
    let before = weights_of(&listed, records).0;
    if before == *weights {
        return Ok(());
    }
    let batch = batch(&listed, records, weights)?;
    clients.calls.take(Bucket::Dns, CHANGE).await;
    let request = clients.dns.change_resource_record_sets();
    let request = request.hosted_zone_id(&records.zone).change_batch(batch);
    let answer = request
        .send()
        .await
        .map_err(|error| failed(CHANGE, &error))?;
    let mut memory = changes.of(records, now);
    if memory.before.len() < CHANGES_MAX {
        memory.before.push(before);
    }
    memory.pending = answer.change_info().map(|info| Pending {
        change: info.id().to_owned(),
        in_sync_at: None,
    });
    changes.remember(records, memory);
    Ok(())
}

fn batch(
    listed: &[ResourceRecordSet],
    records: &Records,
    weights: &Weights,
) -> Result<ChangeBatch, ProviderError> {
    let mut batch = ChangeBatch::builder().comment("pointsman");
    for (slice, identifier) in SLICES.into_iter().zip(&records.identifiers) {
        let record = weighted(listed, identifier).cloned();
        let mut record = record.ok_or_else(|| {
            missing(format!(
                "{} has no weighted record {identifier}",
                records.name
            ))
        })?;
        record.weight = Some(i64::from(weights.share(slice)));
        let change = Change::builder().action(ChangeAction::Upsert);
        let change = change.resource_record_set(record).build();
        batch = batch.changes(change.map_err(|error| invalid(error.to_string()))?);
    }
    batch.build().map_err(|error| invalid(error.to_string()))
}

impl PendingChanges {
    fn of(&self, records: &Records, now: UnixMs) -> Memory {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Memory {
            since: now,
            ..Memory::default()
        };
        memories
            .entry(records.clone())
            .or_insert_with(fresh)
            .clone()
    }

    fn remember(&self, records: &Records, memory: Memory) {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(records.clone(), memory);
    }
}

/// Every record of the name.
async fn list(
    clients: &Clients,
    records: &Records,
) -> Result<Vec<ResourceRecordSet>, ProviderError> {
    clients.calls.take(Bucket::Dns, LIST).await;
    let request = clients.dns.list_resource_record_sets();
    let request = request
        .hosted_zone_id(&records.zone)
        .start_record_name(&records.name);
    let page = request.send().await.map_err(|error| failed(LIST, &error))?;
    // Records are listed by name, up to 300 a page; a name has at most 100 weighted ones per type.
    let here = page.resource_record_sets().iter();
    Ok(here
        .filter(|record| record.name() == records.name)
        .cloned()
        .collect())
}

async fn in_sync(clients: &Clients, change: &str) -> Result<bool, ProviderError> {
    clients.calls.take(Bucket::Dns, GET_CHANGE).await;
    let answer = clients.dns.get_change().id(change).send().await;
    let answer = answer.map_err(|error| failed(GET_CHANGE, &error))?;
    let status = answer.change_info().map(|info| info.status());
    Ok(status == Some(&ChangeStatus::Insync))
}

fn weighted<'a>(
    listed: &'a [ResourceRecordSet],
    identifier: &str,
) -> Option<&'a ResourceRecordSet> {
    let mut ours = listed
        .iter()
        .filter(|it| it.set_identifier() == Some(identifier));
    ours.find(|it| it.weight().is_some())
}

fn weights_of(listed: &[ResourceRecordSet], records: &Records) -> (Weights, Vec<String>) {
    let mut obstacles = Vec::new();
    let mut weights: Vec<(Slice, u64)> = Vec::new();
    for (slice, identifier) in SLICES.into_iter().zip(&records.identifiers) {
        match weighted(listed, identifier) {
            Some(record) => {
                let weight = record.weight().unwrap_or(0);
                weights.push((slice, u64::try_from(weight).unwrap_or(0)));
            }
            None => obstacles.push(format!(
                "{} has no weighted record {identifier}",
                records.name
            )),
        }
    }
    // "If you set Weight to 0 for all of the records in the group, traffic is routed to all
    // resources with equal probability" (Route 53 developer guide, 2026-11).
    if !weights.is_empty() && weights.iter().all(|(_, weight)| *weight == 0) {
        weights.iter_mut().for_each(|(_, weight)| *weight = 1);
    }
    let foreign = listed.iter().filter(|it| {
        let ours = it
            .set_identifier()
            .is_some_and(|id| records.identifiers.iter().any(|own| own == id));
        !ours && it.weight().is_some_and(|weight| weight > 0)
    });
    obstacles.extend(foreign.map(|it| {
        let id = it.set_identifier().unwrap_or_default();
        format!(
            "{} also has the weighted record {id}, which gets users",
            records.name
        )
    }));
    (weights::percent(&weights), obstacles)
}

/// The mean of what may be answered. Whoever has users by one of them has users.
fn mean(before: &[Weights], after: &Weights) -> Weights {
    let all: Vec<&Weights> = before.iter().chain([after]).collect();
    let total = |slice| all.iter().map(|it| u64::from(it.share(slice))).sum::<u64>();
    let mut weights = weights::percent(&SLICES.map(|slice| (slice, total(slice))));
    let served = SLICES.into_iter().filter(|slice| total(*slice) > 0);
    for slice in served {
        if weights.share(slice) == 0 {
            weights.set(slice, 1);
        }
    }
    weights
}

/// How long answers live in resolvers, in milliseconds.
fn ttl_ms(listed: &[ResourceRecordSet]) -> u64 {
    let ttl = listed
        .iter()
        .map(|it| it.ttl().unwrap_or(ALIAS_TTL_SECONDS))
        .max();
    u64::try_from(ttl.unwrap_or(ALIAS_TTL_SECONDS)).unwrap_or(0) * 1000
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::types::RrType;

    use super::*;

    fn record(identifier: &str, weight: i64) -> ResourceRecordSet {
        let record = ResourceRecordSet::builder()
            .name("shop.example.")
            .r#type(RrType::A);
        record
            .set_identifier(identifier)
            .weight(weight)
            .ttl(30)
            .build()
            .unwrap()
    }

    fn records() -> Records {
        Records::new("Z1", "Shop.example", &["b".to_owned(), "g".to_owned()])
    }

    #[test]
    fn weights_are_read_as_resolvers_answer() {
        let read = |blue, green| weights_of(&[record("b", blue), record("g", green)], &records()).0;
        assert_eq!(read(255, 0), Weights::from([(Slice::Blue, 100)]));
        assert_eq!(
            read(90, 10),
            Weights::from([(Slice::Blue, 90), (Slice::Green, 10)])
        );
        assert_eq!(
            read(0, 0),
            Weights::from([(Slice::Blue, 50), (Slice::Green, 50)])
        );
    }

    #[test]
    fn a_change_that_was_taken_back_is_still_under_way() {
        let blue = Weights::from([(Slice::Blue, 100)]);
        let green = Weights::from([(Slice::Green, 100)]);
        assert_eq!(mean(&[], &blue), blue);
        let half = Weights::from([(Slice::Blue, 50), (Slice::Green, 50)]);
        assert_eq!(mean(std::slice::from_ref(&blue), &green), half);
        let back = mean(&[blue.clone(), green], &blue);
        assert_eq!(back, Weights::from([(Slice::Blue, 67), (Slice::Green, 33)]));
    }

    #[test]
    fn records_that_are_missing_or_somebody_elses_are_obstacles() {
        let (_, obstacles) = weights_of(&[record("b", 1), record("x", 1)], &records());
        assert_eq!(
            obstacles,
            [
                "shop.example. has no weighted record g",
                "shop.example. also has the weighted record x, which gets users",
            ]
        );
        assert_eq!(ttl_ms(&[record("b", 1)]), 30_000);
    }
}
