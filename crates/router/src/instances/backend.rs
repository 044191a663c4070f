//! One instance as the router knows it: its requests in flight, what is counted of them, and how it
//! is drained.
//!
//! Invariant: once an instance drains and [`Backend::in_flight`] was then seen to be 0, it gets no
//! further request. The count goes up *before* the draining mark is read, and the mark
//! is set *before* the count is read; both in one total order (`SeqCst`).
//! Invariant: a request that is dropped before it was counted was given up by its user, and is
//! counted as such: no way of leaving goes unnoticed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use domain::{observation::InstanceId, traffic::InstanceCounts};
use http::StatusCode;
use tokio::time::Instant;

use crate::{
    counters::{Counters, add, get},
    tally::UserTally,
};

/// One instance as the router knows it. Keep one per instance and list it in table after table:
/// requests in flight and idle connections belong to it.
#[derive(Debug)]
pub struct Backend {
    id: InstanceId,
    address: SocketAddr,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// It closed an idle connection before it was old.
    hangs_up: AtomicBool,
    /// Shared by all instances of its release in its slice.
    counters: Arc<Counters>,
    /// Shared by all instances of its slice.
    users: Arc<UserTally>,
    /// Its own part of the counts.
    requests: AtomicU64,
    errors: AtomicU64,
    /// The newest table that lists it.
    listed: AtomicU64,
}

impl Backend {
    /// An instance that listens at `address`, with counters of its own.
    #[must_use]
    pub fn new(id: InstanceId, address: SocketAddr) -> Arc<Self> {
        Self::counted(id, address, Arc::default(), Arc::default())
    }

    /// An instance that listens at `address`, whose requests `counters` counts, and its users, where
    /// they stick, `users`.
    #[must_use]
    pub fn counted(
        id: InstanceId,
        address: SocketAddr,
        counters: Arc<Counters>,
        users: Arc<UserTally>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            address,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            hangs_up: AtomicBool::new(false),
            counters,
            users,
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            listed: AtomicU64::new(0),
        })
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What counts its requests.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What it had of the users' requests so far.
    #[must_use]
    pub fn counts(&self) -> InstanceCounts {
        InstanceCounts {
            requests: get(&self.requests),
            errors: get(&self.errors),
        }
    }

    /// Requests that it is answering now, in all threads. One ends with the last byte of its
    /// answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Stops new requests to this instance, for good: an instance that returns is a new `Backend`.
    /// Once [`Self::in_flight`] was 0 after this call, no request reaches it any more.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::start_draining`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Counts one request in, unless it drains. `asked` says how the request is to be counted; a
    /// copy is not, nor is one for a path that does not count.
    pub(crate) fn lease(self: &Arc<Self>, asked: Option<Asked>) -> Option<Lease> {
        let mut lease = Lease::count(Arc::clone(self));
        // Read after counting: a thread that waits for 0 either sees this request or has already
        // set the mark. Dropping the lease takes the count back.
        if self.is_draining() {
            return None;
        }
        lease.account = asked.map_or(Account::Settled, Account::Open);
        Some(lease)
    }

    fn count(&self, asked: Asked, outcome: Outcome) {
        let Who::User(point) = asked.who else {
            return self.counters.count_by_pass();
        };
        let us = u64::try_from(asked.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        add(&self.requests, 1);
        match outcome {
            Outcome::Answered(status) => self.counters.count(status, us),
            Outcome::Abandoned => self.counters.count_abandoned(us),
        }
        if let Some(point) = point {
            self.users.see(point);
        }
        match outcome {
            Outcome::Answered(status) if status.as_u16() >= 500 => self.count_error(point),
            Outcome::Answered(status) if status.is_client_error() => {
                if let Some(point) = point {
                    self.users.fail_client(point);
                }
            }
            Outcome::Answered(_) | Outcome::Abandoned => {}
        }
    }

    fn count_error(&self, point: Option<u64>) {
        add(&self.errors, 1);
        if let Some(point) = point {
            self.users.fail(point);
        }
    }

    /// Notes that it closed an idle connection early.
    pub(crate) fn note_hanging_up(&self) {
        self.hangs_up.store(true, Ordering::Relaxed);
    }

    /// Whether it ever closed an idle connection early. What must not be sent twice gets a new
    /// connection there.
    pub(crate) fn hangs_up(&self) -> bool {
        self.hangs_up.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_listed(&self, generation: u64) {
        self.listed.store(generation, Ordering::Relaxed);
    }

    /// Whether idle connections to it are kept: it does not drain, and the table of `generation`
    /// lists it.
    pub(crate) fn keeps_idle(&self, generation: u64) -> bool {
        !self.is_draining() && self.listed.load(Ordering::Relaxed) >= generation
    }
}

/// How a request is to be counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Since when this instance lets its user wait.
    pub(crate) since: Instant,
    pub(crate) who: Who,
}

/// Who made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A user, with the point if users stick to a slice.
    User(Option<u64>),
    /// Somebody with a tester's pass.
    Tester,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Answered(StatusCode),
    Abandoned,
}

/// What is not yet counted of a request.
#[derive(Debug, Clone, Copy)]
enum Account {
    /// There is no answer yet.
    Open(Asked),
    /// It was answered without an error, to the user with this point; the body may still break off.
    Answered(Option<u64>),
    /// Nothing follows.
    Settled,
}

/// One request in flight. Dropping it counts the request out.
#[derive(Debug)]
pub(crate) struct Lease {
    backend: Arc<Backend>,
    account: Account,
}

impl Lease {
    fn count(backend: Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::SeqCst);
        let account = Account::Settled;
        Self { backend, account }
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// Counts the request: the user gets `status`, from the instance or because of it.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let Account::Open(asked) = self.account else {
            return;
        };
        self.backend.count(asked, Outcome::Answered(status));
        self.account = match asked.who {
            Who::User(point) if status.as_u16() < 500 => Account::Answered(point),
            Who::User(_) | Who::Tester => Account::Settled,
        };
    }

    /// Counts an answer that broke off by the fault of the instance.
    pub(crate) fn broke_off(&mut self) {
        if let Account::Answered(point) = self.account {
            self.backend.counters.count_broken();
            self.backend.count_error(point);
            self.account = Account::Settled;
        }
    }

    /// Counts nothing: the request was faulty, or the router could not carry it.
    pub(crate) fn forgive(&mut self) {
        self.account = Account::Settled;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Account::Open(asked) = self.account {
            self.backend.count(asked, Outcome::Abandoned);
        }
        self.backend.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The drain invariant under threads: after the mark was set and 0 was seen, there is no lease.
    #[test]
    fn no_lease_after_the_wait_for_zero_ended() {
        for _ in 0..300 {
            let backend = Backend::new(InstanceId("a".to_owned()), ([127, 0, 0, 1], 1).into());
            let gone = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while let Some(_lease) = backend.lease(None) {
                            assert!(!gone.load(Ordering::SeqCst), "a lease after the drain");
                        }
                    });
                }
                backend.start_draining();
                while backend.in_flight() > 0 {
                    std::hint::spin_loop();
                }
                gone.store(true, Ordering::SeqCst);
            });
        }
    }
}
