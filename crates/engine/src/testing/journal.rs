//! A journal in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use domain::{deployment::Deployment, event::Event, names::DeploymentId, time::UnixMs};

use crate::ports::{Claims, Journal, JournalError, LeaseSeen, Saved};

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
    beat: u64,
    attended_at: UnixMs,
}

impl MemoryJournal {
    /// Adds a deployment that nobody drives yet.
    pub fn begin(&self, deployment: Deployment) {
        let id = deployment.id.clone();
        let row = Row {
            deployment,
            events: Vec::new(),
            holder: None,
            beat: 0,
            attended_at: UnixMs(0),
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
    fn take(&mut self, engine: &str, now: UnixMs) -> Deployment {
        self.holder = Some(engine.to_owned());
        self.beat += 1;
        self.attended_at = now;
        self.deployment.clone()
    }

    fn is_at(&self, seen: &LeaseSeen) -> bool {
        self.deployment.id == seen.deployment && self.beat == seen.beat
    }
}

impl Journal for MemoryJournal {
    async fn claim(
        &self,
        engine: &str,
        abandoned: &[LeaseSeen],
        now: UnixMs,
        limit: u32,
    ) -> Result<Claims, JournalError> {
        let mut rows = self.rows();
        let mut unfinished: Vec<&mut Row> = rows
            .values_mut()
            .filter(|row| row.deployment.ending.is_none())
            .collect();
        unfinished.sort_by_key(|row| (row.holder.is_none(), row.attended_at));
        let mut claims = Claims::default();
        for row in unfinished {
            let is_abandoned = || abandoned.iter().any(|seen| row.is_at(seen));
            let is_free = row.holder.is_none() || is_abandoned();
            if is_free && claims.taken.len() < limit as usize {
                claims.taken.push(row.take(engine, now));
            }
            if row.holder.is_some() {
                let (deployment, beat) = (row.deployment.id.clone(), row.beat);
                claims.held.push(LeaseSeen { deployment, beat });
            }
        }
        Ok(claims)
    }

    async fn renew(
        &self,
        engine: &str,
        id: &DeploymentId,
        now: UnixMs,
    ) -> Result<Option<Deployment>, JournalError> {
        let mut rows = self.rows();
        let Some(row) = rows.get_mut(id) else {
            return Ok(None);
        };
        if row.holder.as_deref() != Some(engine) || row.deployment.ending.is_some() {
            return Ok(None);
        }
        Ok(Some(row.take(engine, now)))
    }

    async fn release(&self, engine: &str, id: &DeploymentId) -> Result<(), JournalError> {
        if let Some(row) = self.rows().get_mut(id)
            && row.holder.as_deref() == Some(engine)
        {
            row.holder = None;
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
