//! The engine's journal: claims, leases, and saves that compare before they set.

use domain::{
    catalogue::ProviderKind,
    deployment::{Deployment, Ending},
    event::Event,
    names::DeploymentId,
    time::UnixMs,
};
use engine::ports::{Journal, JournalError, Saved};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    deployments::{
        deployment_of_row,
        record::{Written, outcome},
    },
    values::{Doing, check_text, later, page},
};

const CLAIMING: &str = "claiming deployments";
const LEASING: &str = "keeping a lease";
const RENEW: &str = "update deployments set lease_until = $3, attended_at = $4
    where id = $1 and lease_engine = $2 returning id, record";
const RELEASE: &str = "update deployments set lease_engine = null, lease_until = 0
    where id = $1 and lease_engine = $2";
const RELEASE_ALL: &str = "update deployments set lease_engine = null, lease_until = 0
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
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, JournalError> {
        let every = [ProviderKind::Local, ProviderKind::Aws, ProviderKind::Custom];
        self.claim_of(&every, engine, now, lease_ms, limit).await
    }

    /// A lease that ran out is still prolonged as long as nobody else claimed it.
    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
        lease_ms: u64,
    ) -> Result<Option<Deployment>, JournalError> {
        let renewed = self.prolong(engine, id, now, lease_ms).await;
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
    /// As [`Journal::claim`], of deployments at these kinds of providers only: an engine that does not
    /// reach a cloud must not drive what lives there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_of(
        &self,
        kinds: &[ProviderKind],
        engine: &str,
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, JournalError> {
        let claimed = self.take(kinds, engine, now, lease_ms, limit).await;
        claimed.map_err(journal_error)
    }

    async fn take(
        &self,
        kinds: &[ProviderKind],
        engine: &str,
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, StoreError> {
        check_text("engine", engine, TEXT_BYTES_MAX)?;
        let kind = |at: usize| kinds.get(at).map_or("", |kind| ProviderKind::as_str(*kind));
        let mut writer = self.lease().await?;
        let rows = sqlx::query(self.dialect.claim())
            .bind(engine)
            .bind(later(now, lease_ms))
            .bind(now.0)
            .bind(page(limit))
            .bind(kind(0))
            .bind(kind(1))
            .bind(kind(2))
            .fetch_all(writer.connection())
            .await
            .doing(CLAIMING)?;
        writer.commit().await?;
        let mut claimed: Vec<Deployment> = rows.iter().filter_map(readable).collect();
        claimed.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(claimed)
    }

    async fn prolong(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
        lease_ms: u64,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut writer = self.lease().await?;
        let row = sqlx::query(RENEW)
            .bind(id.0.as_str())
            .bind(engine)
            .bind(later(now, lease_ms))
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
