//! One thread of the router, as its connections and requests see it.
//!
//! Invariant: per request, threads share only the table (read), the number of requests in flight of
//! each instance, and the counters of each release.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
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
    users::accept::Handed,
};

/// How far a thread is in its life. A later phase never goes back to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// There was no table yet; connections wait in the kernel.
    Waiting,
    /// It accepts.
    Open,
    /// It takes no new connection. Each connection ends with its next answer, as its user is told.
    Leaving,
    /// Connections end as soon as they have no request in flight.
    Closing,
}

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
    phase: AtomicU8,
    phased: Notify,
    /// Users' connections that it serves.
    pub(crate) connections: AtomicUsize,
    /// To this thread, with connections that others accepted for it.
    handed: mpsc::UnboundedSender<Handed>,
    /// A new table was published.
    swept: Notify,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        jobs: mpsc::UnboundedSender<Job>,
        handed: mpsc::UnboundedSender<Handed>,
        seed: u64,
    ) -> Arc<Self> {
        let worker = Self {
            pool: Arc::new(Pool::new(shared.limits.upstream_idle)),
            shared,
            jobs,
            random: AtomicU64::new(seed),
            points: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            phase: AtomicU8::new(Phase::Waiting as u8),
            phased: Notify::new(),
            connections: AtomicUsize::new(0),
            handed,
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

    /// The other thread with the fewest connections, unless this one has no more.
    pub(crate) fn with_fewest_connections(&self) -> Option<Arc<Self>> {
        let own = self.connections.load(Ordering::Relaxed);
        let workers = self.shared.workers.get()?.iter();
        let fewer = workers.filter_map(|worker| {
            let worker = worker.upgrade()?;
            let many = worker.connections.load(Ordering::Relaxed);
            (many < own).then_some((many, worker))
        });
        fewer
            .min_by_key(|(many, _)| *many)
            .map(|(_, worker)| worker)
    }

    /// Gives the thread a connection that another one accepted.
    pub(crate) fn hand(&self, handed: Handed) {
        // An error means that the thread has ended, and with it the router.
        let _ = self.handed.send(handed);
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Waiting,
            1 => Phase::Open,
            2 => Phase::Leaving,
            _ => Phase::Closing,
        }
    }

    /// Ready once the thread is in another phase than now.
    pub(crate) fn phase_changes(&self) -> Notified<'_> {
        self.phased.notified()
    }

    /// Brings the thread into a phase, if it has not got further.
    pub(crate) fn enter(&self, phase: Phase) {
        if self.phase.fetch_max(phase as u8, Ordering::SeqCst) < phase as u8 {
            self.phased.notify_waiters();
        }
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

    /// Waits until the thread is in this phase or a later one.
    pub(crate) async fn until(&self, phase: Phase) {
        loop {
            let changes = self.phase_changes();
            if self.phase() >= phase {
                return;
            }
            changes.await;
        }
    }
}
