//! What the router counts: requests per release and slice, and the answers that it made by itself.
//!
//! A request is counted once: when the head of its answer is there, or when the last attempt
//! failed. Then it counts for the instance that was asked last.
//!
//! Invariant: counting takes no lock and allocates nothing: three relaxed additions and one reading
//! of the clock per request. Counts only grow.
//! Invariant: a request that is faulty, or whose user left, is not counted; one with a tester's
//! pass is counted separately, so that testers cannot influence a gate.

use std::{
    array,
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use domain::traffic::{BUCKET_LAST, Histogram, Traffic, bucket_of_us};
use http::StatusCode;
use tokio::time::Instant;

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
    latency: [AtomicU64; BUCKETS],
    latency_us: AtomicU64,
    by_pass: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            classes: array::from_fn(|_| AtomicU64::new(0)),
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
            latency: Histogram {
                buckets: buckets.filter(|(_, n)| *n > 0).collect(),
            },
            latency_us: get(&self.latency_us),
            by_pass: get(&self.by_pass),
        }
    }
}

/// What [`Counters`] held at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Users' requests by class of status: 1xx to 5xx. A request that no instance answered is a
    /// 5xx.
    pub classes: [u64; CLASSES],
    /// How long the answers took, from the request's head to the answer's head.
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
        self.classes.iter().sum()
    }

    /// The number of users' requests that were answered with a 5xx, or not at all.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.classes[CLASSES - 1]
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, n) in self.classes.iter_mut().zip(other.classes) {
            *sum += n;
        }
        for (bucket, n) in &other.latency.buckets {
            *self.latency.buckets.entry(*bucket).or_default() += n;
        }
        self.latency_us += other.latency_us;
        self.by_pass += other.by_pass;
    }

    /// The counts as an observation shows them; `epoch` says since when they are counted.
    #[must_use]
    pub fn traffic(self, epoch: u64) -> Traffic {
        Traffic {
            epoch,
            requests: self.requests(),
            errors: self.errors(),
            client_errors: self.classes[3],
            latency: self.latency,
            ..Traffic::default()
        }
    }
}

/// One request that is to be counted when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// When its head had arrived.
    pub(crate) begun: Instant,
    /// It came with a tester's pass.
    pub(crate) by_pass: bool,
}

impl Account {
    /// Counts the request with the counters of the instance that was asked; `status` is what the
    /// user gets.
    pub(crate) fn close(self, counters: &Counters, status: StatusCode) {
        if self.by_pass {
            add(&counters.by_pass, 1);
        } else {
            let us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            counters.count(status, us);
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

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
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
        let counts = counters.read();
        assert_eq!(counts.classes, [1, 2, 0, 1, 2]);
        assert_eq!((counts.requests(), counts.errors()), (6, 2));
        assert_eq!(counts.latency.count(), 6);
        assert_eq!(counts.latency_us, 5_261);
        let mut twice = counts.clone();
        twice.add(&counts);
        assert_eq!(twice.traffic(7).latency.count(), 12);
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
