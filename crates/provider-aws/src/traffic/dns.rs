//! Weights at Route 53: one weighted record per slice, both changed in one batch.
//!
//! The weights are shares of DNS answers. A change counts as served once Route 53 says INSYNC and all older
//! answers have expired (their TTL; 60 s for an alias to a load balancer).

mod pending_changes;

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ChangeStatus, ResourceRecordSet};
use domain::{slice::Slice, time::UnixMs, users::Weights};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{CHANGE_RECORD_SETS, GET_CHANGE, LIST_RECORD_SETS},
        clients::Clients,
        errors::{invalid, missing},
    },
    server_group::SLICES,
    traffic::weights::{self, Split},
};

pub use pending_changes::PendingChanges;

/// TTL of the answers for an alias to a load balancer ("Choosing between alias and non-alias
/// records", 2026-11).
const ALIAS_TTL_SECONDS: i64 = 60;

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

/// How the records split the users. While a change is pending the weights are the mean of all that
/// resolvers may answer with, so that none of them is taken for the whole truth.
pub async fn read(
    clients: &Clients,
    changes: &PendingChanges,
    records: &Records,
    now: UnixMs,
) -> Result<Split, ProviderError> {
    let listed = list(clients, records).await?;
    let (weights, obstacles) = weights_of(&listed, records);
    let ttl_ms = ttl_ms(&listed);
    if let Some(change) = changes.not_in_sync(records, now)
        && in_sync(clients, &change).await?
    {
        changes.note_in_sync(records, &change, now);
    }
    let (weights, stale_ms) = changes.served(records, &weights, ttl_ms, now);
    Ok(Split {
        weights,
        stale_ms,
        obstacles,
    })
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
            "with all weights at 0 Route 53 answers with every record; one slice must have users",
        ));
    }
    let listed = list(clients, records).await?;
    let before = weights_of(&listed, records).0;
    if before == *weights {
        return Ok(());
    }
    let batch = batch(&listed, records, weights)?;
    let request = clients.dns.change_resource_record_sets();
    let request = request.hosted_zone_id(&records.zone).change_batch(batch);
    let answer = clients.make(&CHANGE_RECORD_SETS, request.send()).await?;
    let change = answer.change_info().map(|info| info.id().to_owned());
    changes.note(records, change, before, now);
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

/// Every record of the name.
async fn list(
    clients: &Clients,
    records: &Records,
) -> Result<Vec<ResourceRecordSet>, ProviderError> {
    let request = clients.dns.list_resource_record_sets();
    let request = request
        .hosted_zone_id(&records.zone)
        .start_record_name(&records.name);
    let page = clients.make(&LIST_RECORD_SETS, request.send()).await?;
    // Records are listed by name, up to 300 a page; a name has at most 100 weighted ones per type.
    let here = page.resource_record_sets().iter();
    Ok(here
        .filter(|record| record.name() == records.name)
        .cloned()
        .collect())
}

async fn in_sync(clients: &Clients, change: &str) -> Result<bool, ProviderError> {
    let request = clients.dns.get_change().id(change);
    let answer = clients.make(&GET_CHANGE, request.send()).await?;
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

/// How long resolvers keep answers, in milliseconds.
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
