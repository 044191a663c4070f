//! The engine's journal: claims, leases, and saves that compare before they set.

use domain::{
    catalogue::ProviderKind,
    cloud::Drives,
    deployment::{Deployment, Ending},
    event::Event,
    names::DeploymentId,
    time::UnixMs,
};
use engine::ports::{Claims, Journal, JournalError, LeaseSeen, Saved};
use serde_json::json;
use sqlx::{Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    deployments::{
        deployment_of_row,
        record::{Written, outcome},
    },
    values::{Doing, bigint, check_text, page},
};

const CLAIMING: &str = "claiming deployments";
const LEASING: &str = "keeping a lease";
const RENEW: &str = "update deployments set lease_beat = lease_beat + 1, attended_at = $3
    where id = $1 and lease_engine = $2 returning id, record";
const TAKE_OVER: &str = "update deployments
    set lease_engine = $1, lease_beat = lease_beat + 1, attended_at = $2
    where id = $3 and lease_beat = $4 and lease_engine is not null and finished = 0
    returning id, record";
const HELD: &str = "select id, lease_beat from deployments
    where finished = 0 and lease_engine is not null
    and ($1 like '%,' || provider || ',%' or $1 like '%,' || cloud || ',%')";
const RELEASE: &str = "update deployments set lease_engine = null
    where id = $1 and lease_engine = $2";
const RELEASE_ALL: &str = "update deployments set lease_engine = null
    where finished = 0 and lease_engine is not null";

impl Store {
    /// Gives back the leases of all engines, and says how many there were. Only for whoever knows
    /// that no other engine uses this database: after a crash the one before it left its leases
    /// behind, and waiting until they run out helps nobody.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release_all(&self) -> Result<u64, StoreError> {
        let mut writer = self.lease().await?;
        let done = sqlx::query(RELEASE_ALL)
            .execute(writer.connection())
            .await
            .doing(LEASING)?;
        writer.commit().await?;
        Ok(done.rows_affected())
    }
}

impl Journal for Store {
    /// Which ones are taken goes by how long they were unattended; they come in the order of their
    /// ids.
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        let every =
            [ProviderKind::Local, ProviderKind::Aws, ProviderKind::Custom].map(Drives::Every);
        self.claim_of(&every, engine, abandoned, now, limit).await
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        let renewed = self.prolong(engine, id, now).await;
        renewed.map_err(journal_error)
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.give_back(engine, id).await.map_err(journal_error)
    }

    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        let saved = self.store_turn(deployment, events).await;
        match saved.map_err(journal_error)? {
            true => Ok(Saved::Stored),
            false => Ok(Saved::Superseded),
        }
    }
}

impl Store {
    /// As [`Journal::claim`], of deployments in the clouds that the engine drives only: an engine that does not reach
    /// a cloud must not drive what lives there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_of(
        &self,
        drives: &[Drives],
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        let claimed = self.take(drives, engine, abandoned, now, limit).await;
        claimed.map_err(journal_error)
    }

    async fn take(
        &self,
        drives: &[Drives],
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, StoreError> {
        check_text("engine", engine, TEXT_BYTES_MAX)?;
        let driven = listed(drives);
        let mut writer = self.lease().await?;
        let mut rows = Vec::new();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        // Only after another engine died, and each by its key.
        for seen in abandoned.iter().take(most) {
            let row = sqlx::query(TAKE_OVER)
                .bind(engine)
                .bind(now.0)
                .bind(seen.deployment.0.as_str())
                .bind(bigint("beat", seen.beat)?)
                .fetch_optional(writer.connection());
            rows.extend(row.await.doing(CLAIMING)?);
        }
        let left = limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        let free = sqlx::query(self.dialect.claim())
            .bind(engine)
            .bind(now.0)
            .bind(page(left))
            .bind(driven.as_str())
            .fetch_all(writer.connection());
        rows.extend(free.await.doing(CLAIMING)?);
        let held = sqlx::query(HELD)
            .bind(driven.as_str())
            .fetch_all(writer.connection());
        let held = held.await.doing(CLAIMING)?;
        writer.commit().await?;
        let mut taken: Vec<Deployment> = rows.iter().filter_map(readable).collect();
        taken.sort_by(|a, b| a.id.cmp(&b.id));
        let held = held.iter().map(lease_of).collect::<Result<_, _>>()?;
        Ok(Claims { taken, held })
    }

    async fn prolong(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut writer = self.lease().await?;
        let row = sqlx::query(RENEW)
            .bind(id.0.as_str())
            .bind(engine)
            .bind(now.0)
            .fetch_optional(writer.connection())
            .await
            .doing(LEASING)?;
        let deployment = row.map(|row| deployment_of_row(&row)).transpose()?;
        writer.commit().await?;
        Ok(deployment)
    }

    async fn give_back(&self, engine: &str, id: &DeploymentId) -> Result<(), StoreError> {
        let mut writer = self.lease().await?;
        sqlx::query(RELEASE)
            .bind(id.0.as_str())
            .bind(engine)
            .execute(writer.connection())
            .await
            .doing(LEASING)?;
        writer.commit().await
    }

    /// Stores what a turn came to; `false`: somebody else was faster. An ending is in the audit log.
    async fn store_turn(
        &self,
        deployment: &Deployment,
        events: &[Event],
    ) -> Result<bool, StoreError> {
        let written = Written::of(deployment, events)?;
        let Some(ending) = &deployment.ending else {
            let mut writer = self.write().await?;
            let stored = written.update(writer.connection()).await?;
            if stored {
                writer.commit().await?;
            }
            return Ok(stored);
        };
        let mut writer = self.audited().await?;
        let stored = written.update(writer.connection()).await?;
        if stored {
            writer.commit(&[audit_of(deployment, ending)]).await?;
        }
        Ok(stored)
    }
}

/// All that an engine drives, each between two commas, which no name has.
fn listed(drives: &[Drives]) -> String {
    let names: Vec<&str> = drives.iter().map(Drives::as_str).collect();
    format!(",{},", names.join(","))
}

fn lease_of(row: &AnyRow) -> Result<LeaseSeen, StoreError> {
    let id: String = row.try_get("id").doing(CLAIMING)?;
    let beat: i64 = row.try_get("lease_beat").doing(CLAIMING)?;
    Ok(LeaseSeen {
        deployment: DeploymentId(id),
        beat: u64::try_from(beat).unwrap_or_default(),
    })
}

/// A record that cannot be read must not keep the engine from all the others.
fn readable(row: &AnyRow) -> Option<Deployment> {
    deployment_of_row(row)
        .inspect_err(|error| tracing::error!(%error, "a deployment cannot go on"))
        .ok()
}

/// The engine acts in nobody's name when a deployment ends.
fn audit_of(deployment: &Deployment, ending: &Ending) -> Audit {
    let detail = json!({
        "place": deployment.target.place.to_string(),
        "version": deployment.launch.version,
        "outcome": outcome(ending.outcome),
        "failure": failure_in_short(deployment),
        "baseline_restored": ending.certificate.is_clean(),
    });
    let subject = format!("deployment/{}", deployment.id);
    Audit::of_pointsman("deployment.finish", subject, detail, ending.at)
}

/// An ending must be storable, however much a provider had to say.
fn failure_in_short(deployment: &Deployment) -> Option<String> {
    let failure = deployment.failure.as_ref()?;
    let sentence = failure.sentence(&deployment.versions());
    Some(sentence.chars().take(1000).collect())
}

fn journal_error(error: StoreError) -> JournalError {
    let message = error.to_string();
    JournalError { message }
}
