//! Attempts that were refused: counted here, and written to the store every few seconds, so that an attack
//! costs one row and not a million.
//!
//! Invariant: what is kept here is bounded; what finds no room is counted as the attempts of all others.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use domain::{
    access::{Resource, Right},
    time::UnixMs,
};
use store::refused as stored;

use super::{Desk, Error, Operations, Page, sign_in::prefix_of};

/// Most kinds of attempts between two writes.
const KEPT_MAX: usize = 200;
const OTHERS: &str = "(others)";

/// Attempts of one kind, by one, from one address, within an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was tried, such as `sign_in` or `denied:deploy`.
    pub what: String,
    /// Who tried it, as they said.
    pub who: String,
    /// From where: the address, or its first 64 bits.
    pub address: String,
    /// How often.
    pub times: i64,
    /// When for the first time.
    pub first_at: UnixMs,
    /// When for the last time.
    pub last_at: UnixMs,
}

/// What was tried, who tried it, and from where.
type Attempt = (String, String, String);

/// What was not written yet: how often, and when for the last time.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Attempt, (i64, UnixMs)>>);

impl Refusals {
    fn count(&self, what: &str, who: &str, address: &str, now: UnixMs) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let who: String = who.chars().take(80).collect();
        let mut key = (what.to_owned(), who, address.to_owned());
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            key = (OTHERS.to_owned(), OTHERS.to_owned(), OTHERS.to_owned());
        }
        let (times, at) = kept.entry(key).or_insert((0, now));
        *times += 1;
        *at = now;
    }

    fn take(&self) -> Vec<stored::Refused> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kept)
            .into_iter()
            .map(|((what, who, address), (times, at))| stored::Refused {
                what,
                who,
                address,
                times,
                first_at: at,
                last_at: at,
            })
            .collect()
    }
}

impl Operations {
    /// Counts an attempt that was refused.
    pub(crate) fn refused(&self, what: &str, who: &str, from: impl Into<Option<IpAddr>>) {
        let from = from.into().map(|from| prefix_of(from).to_string());
        let refusals = &self.0.refusals;
        refusals.count(what, who, from.as_deref().unwrap_or("-"), self.now());
    }

    /// Writes down what was refused since the last time.
    pub(crate) async fn write_refusals(&self) -> Result<(), Error> {
        let attempts = self.0.refusals.take();
        if attempts.is_empty() {
            return Ok(());
        }
        Ok(self.store().note_refused(&attempts).await?)
    }
}

impl Desk {
    /// Attempts that were refused, newest hour first, of hours before that of `before`.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn refused_attempts(
        &self,
        before: Option<UnixMs>,
        limit: u32,
    ) -> Result<Page<Refused>, Error> {
        let permit = self.may(Right::ViewAudit, Resource::Everything).await?;
        permit.write_refusals().await?;
        let fetch = Page::<Refused>::fetch(limit);
        let rows = permit.store().refused(before, fetch).await?;
        let rows = rows.into_iter().map(Refused::of).collect();
        Ok(Page::of(rows, limit, |row: &Refused| {
            row.last_at.0.to_string()
        }))
    }
}

impl Refused {
    fn of(row: stored::Refused) -> Self {
        Self {
            what: row.what,
            who: row.who,
            address: row.address,
            times: row.times,
            first_at: row.first_at,
            last_at: row.last_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_attempts_are_few_rows_and_none_is_lost() {
        let refusals = Refusals::default();
        for n in 0..10_000 {
            refusals.count("sign_in", &format!("guess{n}"), "10.0.0.1", UnixMs(n));
        }
        refusals.count("sign_in", "guess0", "10.0.0.1", UnixMs(7));
        let rows = refusals.take();
        assert_eq!(rows.len(), KEPT_MAX + 1);
        assert_eq!(rows.iter().map(|row| row.times).sum::<i64>(), 10_001);
        assert_eq!(refusals.take(), []);
    }
}
