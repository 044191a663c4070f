//! The router as its owner holds it: started, given tables, shut down.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc, oneshot},
};

use crate::{
    config::RouterConfig,
    counters::Refused,
    dark::copies,
    listener::listen,
    passes::Passes,
    shared::{Published, Shared},
    table::Table,
    users::accept::{self, Handed},
    worker::{Phase, Worker},
};

/// A running router. Dropping it stops it at once; [`Router::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Router {
    address: SocketAddr,
    shared: Arc<Shared>,
    workers: Vec<Running>,
    /// Held while a table is published, so that tables are numbered in the order in which they are
    /// stored.
    publishing: Mutex<()>,
    /// How long requests in flight may take once the workers close, in milliseconds.
    grace_ms: Arc<AtomicU64>,
}

/// A thread that can start: its listener exists.
struct Prepared {
    worker: Arc<Worker>,
    runtime: Runtime,
    listener: TcpListener,
    handed: mpsc::UnboundedReceiver<Handed>,
}

/// A thread that was started.
#[derive(Debug)]
struct Running {
    worker: Arc<Worker>,
    ended: oneshot::Receiver<()>,
}

impl Router {
    /// Listens at the address of `config` and starts the threads. Until a table is published nobody
    /// is answered: connections wait.
    ///
    /// # Errors
    /// The address cannot be used (`AddrInUse`: another process listens there), or a thread or its
    /// runtime cannot be made.
    pub fn start(config: RouterConfig) -> io::Result<Self> {
        Self::serve(&listen(config.address)?, config)
    }

    /// As [`Self::start`], on a socket that listens already. The caller may keep it: connections
    /// wait in its queue when the router ends, for the next one.
    ///
    /// # Errors
    /// A thread or its runtime cannot be made.
    pub fn serve(listener: &StdListener, config: RouterConfig) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            published: ArcSwap::default(),
            refused: Refused::default(),
            passes: Passes::new(config.passes),
            limits: config.limits,
            connections: Arc::new(Semaphore::new(config.limits.connections)),
            workers: OnceLock::new(),
        });
        let threads = config
            .threads
            .map_or_else(thread::available_parallelism, Ok)?;
        let grace_ms = Arc::new(AtomicU64::new(0));
        let jobs = copies::start(Arc::clone(&shared))?;
        // Everything exists before the first thread runs: a later failure leaves nothing behind.
        let mut prepared = Vec::new();
        for _ in 0..threads.get() {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let listener = accept::share(&runtime, listener)?;
            // The standard library's hash keys are random: a good enough seed for shares.
            let seed = RandomState::new().build_hasher().finish();
            let (to_worker, handed) = mpsc::unbounded_channel();
            prepared.push(Prepared {
                worker: Worker::new(Arc::clone(&shared), jobs.clone(), to_worker, seed),
                runtime,
                listener,
                handed,
            });
        }
        let every = prepared.iter().map(|one| Arc::downgrade(&one.worker));
        shared.workers.get_or_init(|| every.collect());
        let address = listener.local_addr()?;
        let numbered = prepared.into_iter().enumerate();
        let workers = numbered
            .map(|(number, prepared)| prepared.start(number, Arc::clone(&grace_ms)))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            address,
            shared,
            workers,
            publishing: Mutex::new(()),
            grace_ms,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Routes by `table` from now on. Requests in flight are not touched; idle connections to
    /// instances that it does not list are closed.
    pub fn publish(&self, table: Table) {
        let _in_order = self.publishing.lock();
        let generation = self.shared.published.load().generation + 1;
        let has_mirrors = table.hosts.values().any(|route| route.mirror.is_some());
        let slices = table.hosts.values().flat_map(|route| &route.slices);
        for backend in slices.flat_map(|slice| &slice.backends) {
            backend.mark_listed(generation);
        }
        self.shared.published.store(Arc::new(Published {
            generation,
            table,
            has_mirrors,
        }));
        for running in &self.workers {
            running.worker.table_changed();
            running.worker.enter(Phase::Open);
        }
    }

    /// Takes no new connection, and ends each one with its next answer, as its user is told: no
    /// request is lost. Whoever else holds the socket accepts from now on.
    pub fn leave(&self) {
        self.enter(Phase::Leaving);
    }

    /// How many connections of users there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        let left = self.shared.connections.available_permits();
        self.shared.limits.connections.saturating_sub(left)
    }

    /// How many requests the router answered by itself since it started, by status. 502 and 504 are
    /// also counted for the instance.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<u16, u64> {
        self.shared.refused.read()
    }

    /// How many testers' passes were ignored since the router started, by reason.
    #[must_use]
    pub fn ignored_passes(&self) -> BTreeMap<&'static str, u64> {
        self.shared.passes.ignored()
    }

    /// Takes no new connection, lets requests in flight finish for at most `grace`, and stops.
    pub async fn shutdown(mut self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.grace_ms.store(grace_ms, Ordering::SeqCst);
        self.enter(Phase::Closing);
        for running in self.workers.drain(..) {
            // An error means that the thread has ended, which is what we wait for.
            let _ = running.ended.await;
        }
    }

    fn enter(&self, phase: Phase) {
        for running in &self.workers {
            running.worker.enter(phase);
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.enter(Phase::Closing);
    }
}

impl Prepared {
    fn start(self, number: usize, grace_ms: Arc<AtomicU64>) -> io::Result<Running> {
        let Self {
            worker,
            runtime,
            listener,
            handed,
        } = self;
        let (ended, wait) = oneshot::channel();
        let serving = Arc::clone(&worker);
        thread::Builder::new()
            .name(format!("router-{number}"))
            .spawn(move || {
                let grace = || Duration::from_millis(grace_ms.load(Ordering::SeqCst));
                runtime.block_on(accept::run(serving, listener, handed, grace));
                drop(runtime);
                let _ = ended.send(());
            })?;
        Ok(Running {
            worker,
            ended: wait,
        })
    }
}
