//! Whether the database can be written, as far as this process knows. Kept in memory, because what
//! cannot be written cannot be stored.
//!
//! Every transaction that writes reports how it began and how it was committed. A failure stays until
//! a test write succeeds: a commit that had nothing to write says nothing about a full disk.
//!
//! Invariant: a test writes one small row, and there is at most one per [`TEST_EVERY`].

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use domain::time::UnixMs;

use crate::{Store, StoreError, values::Doing};

/// Between two test writes.
const TEST_EVERY: Duration = Duration::from_secs(2);
/// How long a write may take before the database counts as not answering.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const TOUCH: &str = "update pulse set tested_at = $1 where id = 1";
const TESTING: &str = "testing a write";

/// What is known of writing. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse {
    known: Arc<Mutex<Known>>,
    testing: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Since when each transaction under way has been waiting, by number.
    under_way: BTreeMap<u64, Instant>,
    next: u64,
    last_success: Option<Instant>,
    failure: Option<String>,
}

/// One transaction that writes, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Beat {
    pulse: Pulse,
    number: u64,
}

impl Pulse {
    /// A transaction begins.
    pub(crate) fn begin(&self) -> Beat {
        let mut known = self.known();
        let number = known.next;
        known.next += 1;
        known.under_way.insert(number, Instant::now());
        Beat {
            pulse: self.clone(),
            number,
        }
    }

    /// Notes a reason not to write, if there is one.
    pub(crate) fn note(&self, found: Result<(), StoreError>) -> Result<(), StoreError> {
        if let Err(error) = &found {
            self.known().failure = Some(why(error));
        }
        found
    }

    /// Why the database cannot be written; `None` while nothing speaks against it.
    fn trouble(&self) -> Option<String> {
        let known = self.known();
        if known.failure.is_some() {
            return known.failure.clone();
        }
        let waiting = known.under_way.values().next()?.elapsed();
        let silent = known
            .last_success
            .is_none_or(|at| at.elapsed() > ANSWER_MAX);
        (waiting > ANSWER_MAX && silent).then(|| no_answer(waiting))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    /// The transaction could not begin, or ended so.
    pub(crate) fn heard<T>(&self, result: &Result<T, StoreError>) {
        let mut known = self.pulse.known();
        match result {
            Ok(_) => known.last_success = Some(Instant::now()),
            Err(error) => known.failure = Some(why(error)),
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.pulse.known().under_way.remove(&self.number);
    }
}

impl Store {
    /// Why the database cannot be written, such as `database or disk is full`; `None` while nothing
    /// speaks against it. Asks nobody.
    #[must_use]
    pub fn write_trouble(&self) -> Option<String> {
        self.pulse.trouble()
    }

    /// Tests whether the database can be written, unless that was tested a moment ago. Answers within
    /// a few seconds, also when the database does not.
    ///
    /// # Errors
    /// [`StoreError::NotWritable`].
    pub async fn ping(&self, now: UnixMs) -> Result<(), StoreError> {
        let mut tested = self.pulse.testing.lock().await;
        if tested.is_none_or(|at| at.elapsed() > TEST_EVERY) {
            let answered = tokio::time::timeout(ANSWER_MAX, self.touch(now)).await;
            let failure = match answered {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(why(&error)),
                Err(_) => Some(self.silence().await),
            };
            self.pulse.known().failure = failure;
            *tested = Some(Instant::now());
        }
        match self.write_trouble() {
            None => Ok(()),
            Some(why) => Err(StoreError::NotWritable { why }),
        }
    }

    async fn touch(&self, now: UnixMs) -> Result<(), StoreError> {
        let mut writer = self.lease().await?;
        sqlx::query(TOUCH)
            .bind(now.0)
            .execute(writer.connection())
            .await
            .doing(TESTING)?;
        writer.commit().await
    }

    /// Why a write got no answer: a new connection may hear more than one that waits for its turn.
    async fn silence(&self) -> String {
        let connect = self.connect_once();
        match tokio::time::timeout(ANSWER_MAX, connect).await {
            Ok(Err(error)) => crate::error::said(&error),
            Ok(Ok(())) | Err(_) => no_answer(ANSWER_MAX),
        }
    }
}

fn why(error: &StoreError) -> String {
    match error {
        StoreError::Database { source, .. } => crate::error::said(source),
        StoreError::NotWritable { why } => why.clone(),
        other => other.to_string(),
    }
}

fn no_answer(waiting: Duration) -> String {
    format!(
        "no answer for {} s; another program may hold it",
        waiting.as_secs()
    )
}
