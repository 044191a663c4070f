//! Deployments as operations see them: what governance looks at, how one begins, and reading them.
//!
//! Invariant: a deployment begins only for an `Admitted`, and the facts are looked at again in the
//! transaction that begins it.

mod begin;
mod facts;
pub(crate) mod record;

use std::collections::BTreeMap;

use domain::{
    access::Visible,
    deployment::{Deployment, Outcome},
    event::{Event, What},
    live::Live,
    names::{DeploymentId, EnvironmentName, Place, ServiceName},
    time::UnixMs,
};
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    PAGE_MAX, Store, StoreError,
    access::visible::DEPLOYMENTS,
    query::Select,
    values::{Doing, page, parse},
};

/// Largest record of a deployment, in bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Largest event, in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Which deployments are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only in this environment.
    pub environment: Option<EnvironmentName>,
    /// Only those that have not ended.
    pub unfinished: bool,
    /// Only those that ended in this way.
    pub outcome: Option<Outcome>,
    /// Only those that this person asked for.
    pub requested_by: Option<String>,
}

const READING: &str = "reading deployments";
/// Ids are hexadecimal digits and hyphens.
const AFTER_EVERY_ID: &str = "~";
const LIVE: &str = "select * from live where environment = $1 and service = $2";
const DEPLOYMENT: &str = "select id, record from deployments where id = $1";
const UNATTENDED: &str = "select id, attended_at from deployments
    where finished = 0 and attended_at < $1 order by attended_at, id limit $2";
const EVENTS: &str =
    "select seq, body from events where deployment = $1 and seq > $2 order by seq limit $3";

impl Store {
    /// What is live at a place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live(&self, place: &Place) -> Result<Option<Live>, StoreError> {
        let mut connection = self.readers.acquire().await.doing(READING)?;
        live_in(&mut connection, place).await
    }

    /// One deployment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Option<Deployment>, StoreError> {
        let row = sqlx::query(DEPLOYMENT)
            .bind(id.0.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| deployment_of_row(&row)).transpose()
    }

    /// The unfinished deployments that no engine has attended to since `before`, at most [`PAGE_MAX`],
    /// with the time when one did.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unattended(
        &self,
        before: UnixMs,
    ) -> Result<BTreeMap<DeploymentId, UnixMs>, StoreError> {
        let rows = sqlx::query(UNATTENDED)
            .bind(before.0)
            .bind(page(PAGE_MAX))
            .fetch_all(&self.readers)
            .await
            .doing(READING)?;
        let times = rows.iter().map(|row| {
            let id: String = row.try_get("id").doing(READING)?;
            let at: i64 = row.try_get("attended_at").doing(READING)?;
            Ok((DeploymentId(id), UnixMs(at)))
        });
        times.collect()
    }

    /// Deployments, newest first, older than `before`; those that are visible.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deployments(
        &self,
        filter: &Filter,
        visible: &Visible,
        before: Option<&DeploymentId>,
        limit: u32,
    ) -> Result<Vec<Deployment>, StoreError> {
        if visible.is_nothing() {
            return Ok(Vec::new());
        }
        let mut select = Select::new("select id, record from deployments where id <");
        select
            .bind(before.map_or(AFTER_EVERY_ID, |id| id.0.as_str()))
            .push(if filter.unfinished {
                "and finished = 0"
            } else {
                ""
            })
            .when(
                "and service =",
                filter.service.as_ref().map(ServiceName::as_str),
            )
            .when(
                "and environment =",
                filter.environment.as_ref().map(EnvironmentName::as_str),
            )
            .when("and outcome =", filter.outcome.map(record::outcome))
            .when("and requested_by =", filter.requested_by.as_deref())
            .visible(&DEPLOYMENTS, visible)
            .push("order by id desc limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(deployment_of_row).collect()
    }

    /// The events of a deployment after the sequence number `after_seq` (they count from 1).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(
        &self,
        id: &DeploymentId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Event)>, StoreError> {
        let rows = sqlx::query(EVENTS)
            .bind(id.0.as_str())
            .bind(after_seq)
            .bind(page(limit))
            .fetch_all(&self.readers)
            .await
            .doing(READING)?;
        rows.iter()
            .map(|row| {
                let seq: i64 = row.try_get("seq").doing(READING)?;
                let body: &str = row.try_get("body").doing(READING)?;
                Ok((seq, parse(|| format!("event {seq} of {id}"), body)?))
            })
            .collect()
    }

    /// How long the first step (a fill) took in the last deployment there that succeeded, in
    /// milliseconds; an estimate for the next one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_fill_ms(&self, place: &Place) -> Result<Option<u64>, StoreError> {
        let Some(live) = self.live(place).await? else {
            return Ok(None);
        };
        let events = self.events(&live.deployment, 0, PAGE_MAX).await?;
        let entered = |step| {
            let found = events
                .iter()
                .find(|(_, event)| event.what == What::StepStarted { step });
            found.map(|(_, event)| event.at)
        };
        Ok(match (entered(0), entered(1)) {
            (Some(from), Some(until)) => Some(until.since_ms(from)),
            _ => None,
        })
    }
}

pub(crate) async fn live_in(
    connection: &mut AnyConnection,
    place: &Place,
) -> Result<Option<Live>, StoreError> {
    let row = sqlx::query(LIVE)
        .bind(place.environment.as_str())
        .bind(place.service.as_str())
        .fetch_optional(connection)
        .await
        .doing(READING)?;
    row.map(|row| live_of_row(&row)).transpose()
}

pub(crate) fn live_of_row(row: &AnyRow) -> Result<Live, StoreError> {
    let service: String = row.try_get("service").doing(READING)?;
    let environment: String = row.try_get("environment").doing(READING)?;
    let launch: &str = row.try_get("launch").doing(READING)?;
    let previous: Option<String> = row.try_get("previous").doing(READING)?;
    let what = || format!("live release of {service}.{environment}");
    let corrupt = |why: String| StoreError::Corrupt { what: what(), why };
    Ok(Live {
        launch: parse(what, launch)?,
        previous: previous.map(|text| parse(what, &text)).transpose()?,
        place: Place {
            service: service.parse().map_err(|e| corrupt(format!("{e}")))?,
            environment: environment.parse().map_err(|e| corrupt(format!("{e}")))?,
        },
        since: UnixMs(row.try_get("since").doing(READING)?),
        deployment: DeploymentId(row.try_get("deployment").doing(READING)?),
    })
}

/// Reads `id` and `record`.
pub(crate) fn deployment_of_row(row: &AnyRow) -> Result<Deployment, StoreError> {
    let id: &str = row.try_get("id").doing(READING)?;
    let record: &str = row.try_get("record").doing(READING)?;
    parse(|| format!("deployment {id}"), record)
}
