//! One thread of the router, as its connections and requests see it.
//!
//! Invariant: per request, threads share only the table (read), the number of requests in flight of
//! each instance, and the counters of each release.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::Guard;
use tokio::{
    sync::{Notify, futures::Notified, mpsc},
    time::timeout,
};

use crate::{
    config::Limits,
    dark::job::Job,
    instances::upstream::{Pool, SWEEP_EVERY},
    shared::{Published, Shared},
};

/// One thread's state.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Arc<Pool>,
    /// To the thread that sends copies.
    pub(crate) jobs: mpsc::UnboundedSender<Job>,
    random: AtomicU64,
    points: AtomicU64,
    turn: AtomicUsize,
    is_closing: AtomicBool,
    closing: Notify,
    /// A new table was published.
    swept: Notify,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        jobs: mpsc::UnboundedSender<Job>,
        seed: u64,
    ) -> Arc<Self> {
        let worker = Self {
            shared,
            pool: Arc::default(),
            jobs,
            random: AtomicU64::new(seed),
            points: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
            closing: Notify::new(),
            swept: Notify::new(),
        };
        worker.points.store(worker.random(), Ordering::Relaxed);
        Arc::new(worker)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// The newest table.
    pub(crate) fn table(&self) -> Guard<Arc<Published>> {
        self.shared.published.load()
    }

    /// The next pseudo-random number (SplitMix64, Steele et al. 2014). Good for shares, not for
    /// secrets.
    pub(crate) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.load(Ordering::Relaxed).wrapping_add(STEP);
        self.random.store(state, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next point for an unknown user, as a fraction of 2^64. From a random start, each point
    /// is one golden ratio past the one before, modulo 1 (Weyl's sequence). Any few consecutive
    /// points are spread more evenly than by chance, so shares are right over few requests too.
    pub(crate) fn point(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let point = self.points.load(Ordering::Relaxed).wrapping_add(GOLDEN);
        self.points.store(point, Ordering::Relaxed);
        point
    }

    /// Counts up, so that instances with equal load take turns.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        turn
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    /// Ready once the thread closes.
    pub(crate) fn closing(&self) -> Notified<'_> {
        self.closing.notified()
    }

    /// Ends the thread's work: it takes no new connection, closes idle ones, and finishes requests
    /// in flight.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.closing.notify_waiters();
    }

    /// Wakes [`Self::sweep`], which closes idle connections to instances that are gone.
    pub(crate) fn table_changed(&self) {
        self.swept.notify_one();
    }

    /// Closes idle connections that are no longer usable, now and then, for as long as it is
    /// polled.
    pub(crate) async fn sweep(self: Arc<Self>) {
        loop {
            let _ = timeout(SWEEP_EVERY, self.swept.notified()).await;
            let generation = self.table().generation;
            self.pool
                .sweep(generation, self.limits().upstream_idle_timeout);
        }
    }

    /// Waits until the thread closes.
    pub(crate) async fn until_closing(&self) {
        let closing = self.closing();
        if !self.is_closing() {
            closing.await;
        }
    }
}
