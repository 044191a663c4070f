//! One thread of the router: its listener, its connections, its idle connections to instances.
//!
//! Invariant: nothing that happens per request is shared between threads, but the table (read), the
//! count of each instance and the counters of each release.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore, futures::Notified, mpsc},
    time::{sleep, timeout},
};

use crate::{
    Limits, choice::Passes, client::Client, copies::Job, counters::Refused, table::Table,
    upstream::Pool,
};

/// How often idle connections are looked through.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// Rest after `accept` failed, such as for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A table and its number; a later one has a higher number.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) generation: u64,
    pub(crate) table: Table,
    /// Some route of it has a mirror.
    pub(crate) has_mirrors: bool,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) published: ArcSwap<Published>,
    /// What was answered without an instance.
    pub(crate) refused: Refused,
    pub(crate) passes: Passes,
    pub(crate) limits: Limits,
    pub(crate) connections: Arc<Semaphore>,
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

    /// The next point for a user who is not known, as a part of 2^64: from a random start on, each is
    /// the golden ratio further than the one before, round and round (Weyl's sequence). Any few of
    /// them that follow each other are spread more evenly than chance would, so that shares are kept
    /// over few requests too.
    pub(crate) fn point(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let point = self.points.load(Ordering::Relaxed).wrapping_add(GOLDEN);
        self.points.store(point, Ordering::Relaxed);
        point
    }

    /// Counts up, so that equals take turns.
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

    /// Ends the thread's work: no new connection, idle ones closed, requests in flight finished.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
        self.closing.notify_waiters();
    }

    /// Has the idle connections of instances that are gone closed soon.
    pub(crate) fn table_changed(&self) {
        self.swept.notify_one();
    }

    /// Accepts and serves until the thread closes, then for at most `deadline()` more.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        deadline: impl Fn() -> Duration,
    ) {
        let sweeper = tokio::spawn(Arc::clone(&self).sweep());
        let (alive, mut all_gone) = mpsc::channel(1);
        self.accept(&listener, &alive).await;
        drop((listener, alive));
        if timeout(deadline(), all_gone.recv()).await.is_err() {
            tracing::warn!("the router stops with requests in flight: the deadline has passed");
        }
        sweeper.abort();
    }

    async fn sweep(self: Arc<Self>) {
        loop {
            let _ = timeout(SWEEP_EVERY, self.swept.notified()).await;
            let generation = self.table().generation;
            self.pool
                .sweep(generation, self.limits().upstream_idle_timeout);
        }
    }

    /// Accepts until the thread closes, and then what the kernel has already queued.
    async fn accept(self: &Arc<Self>, listener: &TcpListener, alive: &mpsc::Sender<()>) {
        loop {
            let permit = Arc::clone(&self.shared.connections).acquire_owned();
            let permit = tokio::select! {
                biased;
                () = self.until_closing() => break,
                permit = permit => permit.expect("the semaphore is never closed"),
            };
            let accepted = tokio::select! {
                biased;
                () = self.until_closing() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.spawn(stream, peer, permit, alive),
                Err(error) => {
                    tracing::warn!("the router could not accept a connection: {error}");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
        while let Ok(permit) = Arc::clone(&self.shared.connections).try_acquire_owned() {
            match timeout(Duration::ZERO, listener.accept()).await {
                Ok(Ok((stream, peer))) => self.spawn(stream, peer, permit, alive),
                Ok(Err(_)) | Err(_) => break,
            }
        }
    }

    async fn until_closing(&self) {
        let closing = self.closing();
        if !self.is_closing() {
            closing.await;
        }
    }

    fn spawn(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        permit: tokio::sync::OwnedSemaphorePermit,
        alive: &mpsc::Sender<()>,
    ) {
        let peer = peer.ip().to_canonical().to_string();
        let client = Client::new(Arc::clone(self), peer, permit, alive.clone());
        tokio::spawn(client.serve(stream));
    }
}
