//! What calls to AWS cost: each is counted, and each takes a token from a bucket that fills more slowly
//! than AWS allows, so that Pointsman never eats up what an account's other tools live on.
//!
//! Invariant: there is one [`Calls`] per account and region, because that is how AWS counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::calls::spending;

/// The buckets in which AWS counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    /// EC2 `Describe*`: 100, and 20 a second ("Request throttling for the Amazon EC2 API", 2026-11).
    Ec2Read,
    /// EC2 mutations: 50, and 5 a second (same page).
    Ec2Write,
    /// Elastic Load Balancing `Describe*`: 40, and 10 a second (same, for the ELB API).
    ElbRead,
    /// Elastic Load Balancing mutations: 20, and 3 a second.
    ElbWrite,
    /// Route 53: 5 a second for the whole account ("Quotas", Route 53 developer guide).
    Dns,
    /// Auto Scaling reads. AWS publishes no rate; this is our own.
    ScalingRead,
    /// Auto Scaling mutations. AWS publishes no rate; this is our own.
    ScalingWrite,
    /// Everything else: S3, STS, CloudWatch. Few calls, high rates.
    Other,
}

impl Bucket {
    /// Capacity, and tokens a second: four fifths of what AWS documents.
    fn numbers(self) -> (f64, f64) {
        match self {
            Self::Ec2Read => (80.0, 16.0),
            Self::Ec2Write => (40.0, 4.0),
            Self::ElbRead => (32.0, 8.0),
            Self::ElbWrite => (16.0, 2.4),
            Self::Dns => (4.0, 4.0),
            Self::ScalingRead => (16.0, 8.0),
            Self::ScalingWrite => (8.0, 4.0),
            Self::Other => (40.0, 20.0),
        }
    }
}

/// Counts and paces the calls to one account in one region.
#[derive(Debug, Default)]
pub struct Calls {
    counted: Mutex<BTreeMap<&'static str, u64>>,
    levels: Option<Mutex<BTreeMap<Bucket, Level>>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Calls {
    /// Counts, and paces unless `paced` is off (tests in virtual time).
    #[must_use]
    pub fn new(paced: bool) -> Self {
        Self {
            counted: Mutex::default(),
            levels: paced.then(Mutex::default),
        }
    }

    /// Waits for a token and counts the call.
    pub async fn take(&self, bucket: Bucket, operation: &'static str) {
        let wait = self.reserve(bucket);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.count(operation);
    }

    /// Counts the call if there is a token right now.
    #[must_use]
    pub fn try_take(&self, bucket: Bucket, operation: &'static str) -> bool {
        let there = self.levels.as_ref().is_none_or(|levels| {
            let mut levels = levels.lock().unwrap_or_else(PoisonError::into_inner);
            let level = filled(&mut levels, bucket);
            let there = level.tokens >= 1.0;
            if there {
                level.tokens -= 1.0;
            }
            there
        });
        if there {
            self.count(operation);
        }
        there
    }

    /// How many calls were made so far, by operation.
    #[must_use]
    pub fn counted(&self) -> BTreeMap<&'static str, u64> {
        self.counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, operation: &'static str) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(operation).or_default() += 1;
        spending::note_call();
    }

    /// Takes a token, also one that is not there yet, and says how long until it is.
    fn reserve(&self, bucket: Bucket) -> Duration {
        let Some(levels) = &self.levels else {
            return Duration::ZERO;
        };
        let mut levels = levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = filled(&mut levels, bucket);
        level.tokens -= 1.0;
        let missing = (-level.tokens).max(0.0);
        Duration::from_secs_f64(missing / bucket.numbers().1)
    }
}

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

    #[test]
    fn a_bucket_lets_its_capacity_through_and_then_makes_wait() {
        let calls = Calls::new(true);
        for _ in 0..4 {
            assert_eq!(calls.reserve(Bucket::Dns), Duration::ZERO);
        }
        let wait = calls.reserve(Bucket::Dns);
        assert!(wait > Duration::from_millis(200), "{wait:?}");
        assert!(!calls.try_take(Bucket::Dns, "route53:ListResourceRecordSets"));
        assert!(calls.try_take(Bucket::ElbRead, "elb:DescribeTargetHealth"));
        assert_eq!(calls.counted().values().sum::<u64>(), 1);
    }
}
