//! Counts the calls to one account in one region, and keeps them below AWS's rate limits, so that
//! Pointsman never uses up what the account's other tools need.
//!
//! Invariant: there is one [`RateLimiter`] per account and region, because that is how AWS counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::calls::{bucket::Bucket, call::Call, spending};

/// Counts and delays the calls to one account in one region.
#[derive(Debug, Default)]
pub struct RateLimiter {
    counted: Mutex<BTreeMap<&'static str, u64>>,
    /// `None`: nothing is delayed.
    levels: Option<Mutex<BTreeMap<Bucket, Level>>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl RateLimiter {
    /// Counts calls, and delays them where `limited`.
    #[must_use]
    pub fn new(limited: bool) -> Self {
        Self {
            counted: Mutex::default(),
            levels: limited.then(Mutex::default),
        }
    }

    /// Waits until the call may be made, and counts it.
    pub async fn take(&self, call: &Call) {
        let wait = self.reserve(call.bucket());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(call.name()).or_default() += 1;
        spending::note_call();
    }

    /// Whether the call could be made now, without a wait.
    #[must_use]
    pub fn has_token(&self, call: &Call) -> bool {
        self.levels()
            .is_none_or(|mut levels| filled(&mut levels, call.bucket()).tokens >= 1.0)
    }

    /// How many calls were made so far, by name.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<&'static str, u64> {
        self.counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a token, even one that is not there yet, and returns how long until it is.
    fn reserve(&self, bucket: Bucket) -> Duration {
        let Some(mut levels) = self.levels() else {
            return Duration::ZERO;
        };
        let level = filled(&mut levels, bucket);
        level.tokens -= 1.0;
        let missing = (-level.tokens).max(0.0);
        Duration::from_secs_f64(missing / bucket.numbers().1)
    }

    fn levels(&self) -> Option<MutexGuard<'_, BTreeMap<Bucket, Level>>> {
        let levels = self.levels.as_ref()?;
        Some(levels.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bucket as it is now.
fn filled(levels: &mut BTreeMap<Bucket, Level>, bucket: Bucket) -> &mut Level {
    let (capacity, rate) = bucket.numbers();
    let now = Instant::now();
    let full = Level {
        tokens: capacity,
        at: now,
    };
    let level = levels.entry(bucket).or_insert(full);
    let elapsed = now.duration_since(level.at).as_secs_f64();
    level.tokens = (level.tokens + elapsed * rate).min(capacity);
    level.at = now;
    level
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::call::{DESCRIBE_TARGET_HEALTH, LIST_RECORD_SETS};

    #[tokio::test]
    async fn a_bucket_lets_its_capacity_through_and_then_delays() {
        let limiter = RateLimiter::new(true);
        for _ in 0..4 {
            assert_eq!(limiter.reserve(Bucket::Dns), Duration::ZERO);
        }
        let wait = limiter.reserve(Bucket::Dns);
        assert!(wait > Duration::from_millis(200), "{wait:?}");
        assert!(!limiter.has_token(&LIST_RECORD_SETS));
        assert!(limiter.has_token(&DESCRIBE_TARGET_HEALTH));
        limiter.take(&DESCRIBE_TARGET_HEALTH).await;
        assert_eq!(limiter.counted().values().sum::<u64>(), 1);
    }
}
