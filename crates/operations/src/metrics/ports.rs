//! A port of the engine that counts what passes through it, and changes nothing of it.

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};
use engine::ports::{Claims, Journal, JournalError, LeaseSeen, Saved};

use super::Metrics;

/// A port with what it says counted.
#[derive(Debug, Clone)]
pub struct Counted<T> {
    inner: T,
    metrics: Metrics,
}

impl<T> Counted<T> {
    pub(super) fn new(inner: T, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }
}

impl<J: Journal> Journal for Counted<J> {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        let claimed = self.inner.claim(engine, abandoned, now, limit).await?;
        for deployment in &claimed.taken {
            self.metrics.claimed(deployment);
        }
        Ok(claimed)
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        let renewed = self.inner.renew(engine, id, now).await?;
        match &renewed {
            Some(deployment) if deployment.ending.is_none() => {
                self.metrics.0.driven.see(deployment);
            }
            _ => self.metrics.0.driven.forget(id),
        }
        Ok(renewed)
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        self.metrics.0.driven.forget(id);
        self.inner.release(engine, id).await
    }

    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        let saved = self.inner.save(deployment, events).await?;
        if saved == Saved::Stored {
            self.metrics.saved(deployment, events);
        }
        Ok(saved)
    }
}
