//! One instance as the router knows it: its requests in flight, and how it is drained.
//!
//! Invariant: once an instance drains and [`Backend::in_flight`] was then seen to be 0, it gets no
//! further request. The count goes up *before* the draining mark is read, and the mark
//! is set *before* the count is read; both in one total order (`SeqCst`).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use domain::observation::InstanceId;

use crate::counters::Counters;

/// One instance as the router knows it. Keep one per instance and list it in table after table:
/// requests in flight and idle connections belong to it.
#[derive(Debug)]
pub struct Backend {
    id: InstanceId,
    address: SocketAddr,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// Shared by all instances of its release in its slice.
    counters: Arc<Counters>,
    /// The newest table that lists it.
    listed: AtomicU64,
}

impl Backend {
    /// An instance that listens at `address`, with counters of its own.
    #[must_use]
    pub fn new(id: InstanceId, address: SocketAddr) -> Arc<Self> {
        Self::counted(id, address, Arc::default())
    }

    /// An instance that listens at `address`, whose requests `counters` counts.
    #[must_use]
    pub fn counted(id: InstanceId, address: SocketAddr, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            id,
            address,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            counters,
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

    /// Counts one request in, unless it drains.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let lease = Lease::count(Arc::clone(self));
        // Read after counting: a thread that waits for 0 either sees this request or has already
        // set the mark. Dropping the lease takes the count back.
        (!self.is_draining()).then_some(lease)
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

/// One request in flight. Dropping it counts the request out.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Backend>);

impl Lease {
    fn count(backend: Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(backend)
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
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
                        while let Some(_lease) = backend.lease() {
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
