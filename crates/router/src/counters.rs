//! What the router counts: requests per release and slice, and the answers that it made by itself.
//!
//! A request is counted once for each instance that was asked: when the head of its answer is there,
//! when the instance failed, or when the user went away before either. An answer whose body breaks
//! off is counted a second time, as an error only.
//!
//! Invariant: counting takes no lock and allocates nothing: a few relaxed additions and one reading
//! of the clock per request. Counts only grow.
//! Invariant: a request that is faulty, or for a path that does not count, is not counted; one with a tester's pass is counted
//! separately, so that testers cannot influence a gate.

use std::{
    array,
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use domain::traffic::{BUCKET_LAST, Histogram, Traffic, bucket_of_us};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Classes of status: 1xx to 5xx.
pub const CLASSES: usize = 5;
/// Buckets of latency.
const BUCKETS: usize = BUCKET_LAST as usize + 1;

/// The counts of one release in one slice. Keep one for as long as the release is there, and give
/// it to each of its instances.
#[derive(Debug)]
pub struct Counters {
    /// By class of status; what no instance answered is a 5xx.
    classes: [AtomicU64; CLASSES],
    abandoned: AtomicU64,
    broken: AtomicU64,
    latency: [AtomicU64; BUCKETS],
    latency_us: AtomicU64,
    by_pass: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            classes: array::from_fn(|_| AtomicU64::new(0)),
            abandoned: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            latency: array::from_fn(|_| AtomicU64::new(0)),
            latency_us: AtomicU64::new(0),
            by_pass: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Counts a user's request that was answered with `status`, `us` microseconds after its head.
    pub fn count(&self, status: StatusCode, us: u64) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        add(&self.classes[class], 1);
        self.count_time(us);
    }

    /// Counts a user's request that the user gave up after `us` microseconds without an answer.
    pub fn count_abandoned(&self, us: u64) {
        add(&self.abandoned, 1);
        self.count_time(us);
    }

    /// Counts an answer that broke off; it was counted by its status before, which was no 5xx.
    pub fn count_broken(&self) {
        add(&self.broken, 1);
    }

    /// Counts a request with a tester's pass.
    pub(crate) fn count_by_pass(&self) {
        add(&self.by_pass, 1);
    }

    fn count_time(&self, us: u64) {
        add(&self.latency[usize::from(bucket_of_us(us))], 1);
        add(&self.latency_us, us);
    }

    /// The counts so far. A request that ends during this call may be in one count and not yet in
    /// another.
    #[must_use]
    pub fn read(&self) -> Counts {
        let buckets = (0..).zip(&self.latency);
        let buckets = buckets.map(|(bucket, n)| (bucket, get(n)));
        Counts {
            classes: array::from_fn(|class| get(&self.classes[class])),
            abandoned: get(&self.abandoned),
            broken: get(&self.broken),
            latency: Histogram {
                buckets: buckets.filter(|(_, n)| *n > 0).collect(),
            },
            latency_us: get(&self.latency_us),
            by_pass: get(&self.by_pass),
        }
    }
}

/// What [`Counters`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Users' requests by class of status: 1xx to 5xx. A request that the instance did not answer
    /// is a 5xx.
    pub classes: [u64; CLASSES],
    /// Users' requests that their users gave up before there was an answer.
    pub abandoned: u64,
    /// Users' requests whose answer, no 5xx, broke off in its body.
    pub broken: u64,
    /// How long the answers took, from the request's head to the answer's head; for requests that
    /// were given up, how long their users waited.
    pub latency: Histogram,
    /// The sum of these times, in microseconds.
    pub latency_us: u64,
    /// Requests with a tester's pass. They are in no other count.
    pub by_pass: u64,
}

impl Counts {
    /// The number of users' requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum::<u64>() + self.abandoned
    }

    /// The number of users' requests that were answered with a 5xx, not at all, or with a body that
    /// broke off.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.classes[CLASSES - 1] + self.broken
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, n) in self.classes.iter_mut().zip(other.classes) {
            *sum += n;
        }
        for (bucket, n) in &other.latency.buckets {
            *self.latency.buckets.entry(*bucket).or_default() += n;
        }
        self.abandoned += other.abandoned;
        self.broken += other.broken;
        self.latency_us += other.latency_us;
        self.by_pass += other.by_pass;
    }

    /// What was counted since `earlier`, of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            classes: array::from_fn(|at| self.classes[at].saturating_sub(earlier.classes[at])),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            broken: self.broken.saturating_sub(earlier.broken),
            latency: self.latency.since(&earlier.latency),
            latency_us: self.latency_us.saturating_sub(earlier.latency_us),
            by_pass: self.by_pass.saturating_sub(earlier.by_pass),
        }
    }

    /// The counts as an observation shows them; `epoch` says since when they are counted. Users and
    /// instances are counted elsewhere.
    #[must_use]
    pub fn traffic(self, epoch: u64) -> Traffic {
        Traffic {
            epoch,
            requests: self.requests(),
            errors: self.errors(),
            client_errors: self.classes[3],
            abandoned: self.abandoned,
            latency: self.latency,
            ..Traffic::default()
        }
    }
}

/// The answers that the router makes itself, by status.
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; Self::CODES.len()]);

impl Refused {
    const CODES: [StatusCode; 7] = [
        StatusCode::BAD_REQUEST,
        StatusCode::NOT_FOUND,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::NOT_IMPLEMENTED,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];

    pub(crate) fn count(&self, status: StatusCode) {
        let code = Self::CODES.iter().position(|code| *code == status);
        if let Some(n) = code.and_then(|at| self.0.get(at)) {
            add(n, 1);
        }
    }

    pub(crate) fn read(&self) -> BTreeMap<u16, u64> {
        let codes = Self::CODES.iter().map(StatusCode::as_u16);
        codes.zip(self.0.iter().map(get)).collect()
    }
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_one_class_and_one_bucket() {
        let counters = Counters::default();
        for (status, us) in [
            (101, 50),
            (200, 100),
            (204, 101),
            (404, 5_000),
            (500, 1),
            (999, 9),
        ] {
            counters.count(StatusCode::from_u16(status).expect("a status"), us);
        }
        counters.count_abandoned(7_000_000);
        counters.count_broken();
        let counts = counters.read();
        assert_eq!(counts.classes, [1, 2, 0, 1, 2]);
        assert_eq!((counts.requests(), counts.errors()), (7, 3));
        assert_eq!(counts.latency.count(), 7);
        assert_eq!(counts.latency_us, 7_005_261);
        let mut twice = counts.clone();
        twice.add(&counts);
        let traffic = twice.traffic(7);
        assert_eq!((traffic.latency.count(), traffic.errors), (14, 6));
        assert_eq!((traffic.client_errors, traffic.abandoned), (2, 2));
    }

    #[test]
    fn what_the_router_refuses_is_counted_by_status() {
        let refused = Refused::default();
        refused.count(StatusCode::NOT_FOUND);
        refused.count(StatusCode::OK);
        assert_eq!(refused.read().get(&404), Some(&1));
        assert_eq!(refused.read().values().sum::<u64>(), 1);
    }
}
