//! A journal in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};

use crate::ports::{Journal, JournalError, Saved};

/// Deployments, leases and events, for tests and simulation.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    rows: Mutex<BTreeMap<DeploymentId, Row>>,
}

/// One deployment in the journal.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record.
    pub deployment: Deployment,
    /// All that happened.
    pub events: Vec<Event>,
    holder: Option<String>,
    lease_until: UnixMs,
}

impl MemoryJournal {
    /// Adds a deployment that nobody drives yet.
    pub fn begin(&self, deployment: Deployment) {
        let id = deployment.id.clone();
        let row = Row {
            deployment,
            events: Vec::new(),
            holder: None,
            lease_until: UnixMs(0),
        };
        self.rows().insert(id, row);
    }

    /// What is stored of a deployment.
    #[must_use]
    pub fn row(&self, id: &DeploymentId) -> Option<Row> {
        self.rows().get(id).cloned()
    }

    /// The record of a deployment.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<Deployment> {
        self.rows().get(id).map(|row| row.deployment.clone())
    }

    /// Looks at the record of a deployment without copying it.
    pub fn peek<T>(&self, id: &DeploymentId, look: impl FnOnce(&Deployment) -> T) -> Option<T> {
        self.rows().get(id).map(|row| look(&row.deployment))
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    /// Its lease has not expired; nobody takes one for longer than `lease_ms` from `now`.
    fn is_held(&self, now: UnixMs, lease_ms: u64) -> bool {
        let taken = self.holder.is_some() && self.lease_until > now;
        taken && self.lease_until <= now.plus_ms(lease_ms)
    }

    fn held_by_other(&self, engine: &str, now: UnixMs, lease_ms: u64) -> bool {
        self.is_held(now, lease_ms)
            && self
                .holder
                .as_deref()
                .is_some_and(|holder| holder != engine)
    }
}

impl Journal for MemoryJournal {
    async fn claim(
        &self,
        engine: &str,
        now: UnixMs,
        lease_ms: u64,
        limit: u32,
    ) -> Result<Vec<Deployment>, JournalError> {
        let mut rows = self.rows();
        let mut free: Vec<&mut Row> = rows
            .values_mut()
            .filter(|row| row.deployment.ending.is_none() && !row.is_held(now, lease_ms))
            .collect();
        free.sort_by_key(|row| row.lease_until);
        Ok(free
            .into_iter()
            .take(limit as usize)
            .map(|row| {
                row.holder = Some(engine.to_owned());
                row.lease_until = now.plus_ms(lease_ms);
                row.deployment.clone()
            })
            .collect())
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
        lease_ms: u64,
    ) -> Result<Option<Deployment>, JournalError> {
        let mut rows = self.rows();
        let Some(row) = rows.get_mut(id) else {
            return Ok(None);
        };
        let lost =
            row.holder.as_deref() != Some(engine) || row.held_by_other(engine, now, lease_ms);
        if lost || row.deployment.ending.is_some() {
            return Ok(None);
        }
        row.lease_until = now.plus_ms(lease_ms);
        Ok(Some(row.deployment.clone()))
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        if let Some(row) = self.rows().get_mut(id)
            && row.holder.as_deref() == Some(engine)
        {
            (row.holder, row.lease_until) = (None, UnixMs(0));
        }
        Ok(())
    }

    async fn save(&self, deployment: &Deployment, events: &[Event]) -> Result<Saved, JournalError> {
        let mut rows = self.rows();
        let Some(row) = rows.get_mut(&deployment.id) else {
            let message = format!("deployment {} is not in the journal", deployment.id);
            return Err(JournalError { message });
        };
        if row.deployment.version + 1 != deployment.version {
            return Ok(Saved::Superseded);
        }
        row.deployment = deployment.clone();
        row.events.extend_from_slice(events);
        Ok(Saved::Stored)
    }
}
