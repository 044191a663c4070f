//! Writing the record of a deployment: compare, set, append its events, move what is live.
//!
//! Invariant: a record that ended is never written again.

use domain::{
    deployment::{Deployment, Outcome},
    event::Event,
    plan,
    release::Launch,
};
use sqlx::{AnyConnection, Row};

use super::{EVENT_BYTES_MAX, RECORD_BYTES_MAX, live_in};
use crate::{
    StoreError,
    values::{Doing, bigint, json},
};

/// Most events of one turn or command.
pub const EVENTS_AT_ONCE_MAX: usize = 1000;
/// Largest launch, in bytes of JSON.
const LAUNCH_BYTES_MAX: usize = 4096;

const WRITING: &str = "storing a deployment";
const INSERT: &str = "insert into deployments
    (id, service, environment, version, record, finished, outcome, surge, events,
     lease_engine, lease_beat, attended_at, provider, cloud, requested_by)
    values ($1, $2, $3, $4, $5, 0, null, $6, 1, null, 0, $7, $8, $9, $10)";
const UPDATE: &str = "update deployments
    set version = $2, record = $3, finished = $4, outcome = $5, surge = coalesce($6, surge),
        events = events + $7
    where id = $1 and version = $2 - 1 and finished = 0
    returning events";
const EVENT: &str = "insert into events (deployment, seq, body) values ($1, $2, $3)";
const LIVE: &str = "insert into live
    (environment, service, version, launch, previous, since, deployment)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (environment, service) do update set
    version = excluded.version, launch = excluded.launch, previous = excluded.previous,
    since = excluded.since, deployment = excluded.deployment";

/// A record and its events as they are stored, within their limits.
pub(crate) struct Written<'a> {
    deployment: &'a Deployment,
    version: i64,
    record: String,
    events: Vec<String>,
}

impl<'a> Written<'a> {
    /// Writes everything as JSON before any transaction is open.
    pub(crate) fn of(deployment: &'a Deployment, events: &[Event]) -> Result<Self, StoreError> {
        if events.len() > EVENTS_AT_ONCE_MAX {
            return Err(StoreError::Invalid {
                field: "events",
                why: format!("are {}; at most {EVENTS_AT_ONCE_MAX} at once", events.len()),
            });
        }
        Ok(Self {
            deployment,
            version: bigint("version", deployment.version)?,
            record: json("deployment", deployment, RECORD_BYTES_MAX)?,
            events: events
                .iter()
                .map(|event| json("event", event, EVENT_BYTES_MAX))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Stores a new deployment that will have `surge` instances more than its group at most.
    pub(crate) async fn insert(
        self,
        connection: &mut AnyConnection,
        surge: u32,
    ) -> Result<(), StoreError> {
        let deployment = self.deployment;
        sqlx::query(INSERT)
            .bind(deployment.id.0.as_str())
            .bind(deployment.target.place.service.as_str())
            .bind(deployment.target.place.environment.as_str())
            .bind(self.version)
            .bind(self.record.as_str())
            .bind(i64::from(surge))
            .bind(deployment.requested_at.0)
            .bind(deployment.target.group.home().provider().as_str())
            .bind(deployment.target.cloud().as_str())
            .bind(deployment.requested_by.as_str())
            .execute(&mut *connection)
            .await
            .doing(WRITING)?;
        self.append_events(connection, 1).await
    }

    /// Stores the record if the stored version is the one before; `false`: it is not.
    pub(crate) async fn update(self, connection: &mut AnyConnection) -> Result<bool, StoreError> {
        let deployment = self.deployment;
        let ending = deployment.ending.as_ref();
        let count = i64::try_from(self.events.len()).unwrap_or(i64::MAX);
        let row = sqlx::query(UPDATE)
            .bind(deployment.id.0.as_str())
            .bind(self.version)
            .bind(self.record.as_str())
            .bind(i64::from(ending.is_some()))
            .bind(ending.map(|ending| outcome(ending.outcome)))
            .bind(measured_surge(deployment).map(i64::from))
            .bind(count)
            .fetch_optional(&mut *connection)
            .await
            .doing(WRITING)?;
        let Some(row) = row else {
            return Ok(false);
        };
        let last: i64 = row.try_get("events").doing(WRITING)?;
        self.append_events(connection, last - count + 1).await?;
        if ending.is_some_and(|ending| ending.outcome == Outcome::Succeeded) {
            make_live(connection, deployment).await?;
        }
        Ok(true)
    }

    async fn append_events(
        &self,
        connection: &mut AnyConnection,
        first: i64,
    ) -> Result<(), StoreError> {
        for (seq, body) in (first..).zip(&self.events) {
            sqlx::query(EVENT)
                .bind(self.deployment.id.0.as_str())
                .bind(seq)
                .bind(body.as_str())
                .execute(&mut *connection)
                .await
                .doing(WRITING)?;
        }
        Ok(())
    }
}

/// The outcome as it is stored, and as it stands in the audit log.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::RolledBack => "rolled_back",
        Outcome::Aborted => "aborted",
        Outcome::Failed => "failed",
    }
}

/// Instances beyond the group's own that the deployment may have, once its baseline is known. A
/// first deployment takes no more than the group's own.
fn measured_surge(deployment: &Deployment) -> Option<u32> {
    let baseline = deployment.baseline.as_ref()?;
    Some(match baseline.live_sizes().desired {
        0 => 0,
        _ => surge(
            plan::peak(&deployment.strategy, deployment.capacity()),
            deployment,
        ),
    })
}

/// Instances beyond the group's own when there are `ceiling` at the peak.
pub(super) fn surge(ceiling: u32, deployment: &Deployment) -> u32 {
    let group = &deployment.target.group;
    let own = group
        .autoscaling
        .map_or(0, |bounds| bounds.max)
        .max(group.size);
    ceiling.saturating_sub(own)
}

async fn make_live(
    connection: &mut AnyConnection,
    deployment: &Deployment,
) -> Result<(), StoreError> {
    let place = &deployment.target.place;
    let before = live_in(connection, place).await?;
    let previous = before.map(|live| launch_json(&live.launch)).transpose()?;
    let since = deployment.ending.as_ref().map_or(0, |ending| ending.at.0);
    sqlx::query(LIVE)
        .bind(place.environment.as_str())
        .bind(place.service.as_str())
        .bind(deployment.launch.version.as_str())
        .bind(launch_json(&deployment.launch)?)
        .bind(previous)
        .bind(since)
        .bind(deployment.id.0.as_str())
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

fn launch_json(launch: &Launch) -> Result<String, StoreError> {
    json("launch", launch, LAUNCH_BYTES_MAX)
}
