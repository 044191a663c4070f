//! The HTTP router of the one-machine cloud: `http://{service}.{environment}.localhost:PORT` to the
//! instances of the service's slices: by weight, by a sticky user's point, or by a tester's pass.
//!
//! One thread per core, each with its own single-threaded runtime and its own listener on the same
//! port. The users' side is hyper (HTTP/1.1 and HTTP/2); the instances' side is a small HTTP/1.1
//! client of our own, driven by the task of the user's connection.
//!
//! How to take an instance out without losing a request: [`Backend::start_draining`],
//! [`Router::publish`] a table without it, wait until [`Backend::in_flight`] is 0, stop it.
//!
//! Invariant: a request is answered by an instance of the table that was the newest one when the
//! instance was chosen.
//! Invariant: connections, headers, buffers, idle connections, attempts and waits are bounded.

mod answer;
mod answer_head;
mod backend;
mod body;
mod choice;
mod client;
mod compare;
mod cookies;
mod copies;
mod counters;
mod exchange;
mod fault;
mod forward;
mod framing;
mod host;
mod mirror;
pub mod pass;
mod request_head;
mod sample;
mod sticky;
mod table;
mod trailers;
mod tunnel;
mod upstream;
mod worker;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use domain::time::UnixMs;
use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{self, Runtime},
    sync::{Semaphore, mpsc, oneshot},
};

pub use backend::Backend;
use choice::Passes;
use copies::Job;
use counters::Refused;
pub use counters::{CLASSES, Counters, Counts};
pub use mirror::{Mirroring, SHADOW};
use pass::PassKey;
pub use sticky::Sticky;
pub use table::{Route, SliceRoute, Table};
use worker::{Published, Shared, Worker};

/// Connections that the kernel queues for one thread.
const BACKLOG: u32 = 1024;
/// A dead peer is noticed after this much silence plus the probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// A user who takes no byte of an answer for this long loses the connection, in milliseconds.
const UNREAD_MAX_MS: u32 = 60_000;

/// How a router is set up.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Threads; as many as cores when `None`.
    pub threads: Option<NonZeroUsize>,
    /// What users and instances may take of time and memory.
    pub limits: Limits,
    /// How testers' passes are checked; without it every pass is ignored.
    pub passes: Option<PassCheck>,
}

/// How testers' passes are checked.
#[derive(Debug, Clone)]
pub struct PassCheck {
    /// The key that they were signed with.
    pub key: PassKey,
    /// The time of day, by which they expire.
    pub clock: fn() -> UnixMs,
}

/// What users and instances may take of time and memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of users at once; more wait in the kernel.
    pub connections: usize,
    /// Size of a request's header, in bytes. More is answered with 431.
    pub header_bytes: usize,
    /// Header fields in a request. More is answered with 431.
    pub headers: usize,
    /// How long the header of a request may take, kept with a tolerance of half of it.
    pub header_timeout: Duration,
    /// How long a user's connection may stay without a request. Longer than the 90 s after which
    /// common clients close theirs, so that it is not the router who closes under their feet.
    pub idle_timeout: Duration,
    /// How long connecting to an instance may take.
    pub connect_timeout: Duration,
    /// How long an instance may take to begin its answer, and a user to send the next piece of a
    /// request's body.
    pub first_byte_timeout: Duration,
    /// How long a connection to an instance is kept idle. Shorter than the 5 s of common servers
    /// (Node.js, uvicorn, Apache), so that it is not the instance who closes under our feet.
    pub upstream_idle_timeout: Duration,
    /// Requests of one mirror that are being copied at once. More are dropped, and counted.
    pub copies: usize,
    /// How long a copy of a request may take. An instance that drains waits for its copies, so this
    /// should be shorter than any drain.
    pub copy_timeout: Duration,
}

impl Default for RouterConfig {
    /// A free port of 127.0.0.1.
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            address,
            threads: None,
            limits: Limits::default(),
            passes: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(60),
            upstream_idle_timeout: Duration::from_secs(4),
            copies: 64,
            copy_timeout: Duration::from_secs(5),
        }
    }
}

/// A running router. Dropping it stops it at once; [`Router::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Router {
    address: SocketAddr,
    shared: Arc<Shared>,
    workers: Vec<Running>,
    /// Held while a table is published, so that numbers grow in the order of the tables.
    publishing: Mutex<()>,
    /// How long requests in flight have once the workers close, in milliseconds.
    grace_ms: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Running {
    worker: Arc<Worker>,
    ended: oneshot::Receiver<()>,
}

impl Router {
    /// Binds and starts the threads. Until a table is published every host is unknown.
    ///
    /// # Errors
    /// The address cannot be bound (`AddrInUse`: another process listens there), or a thread or its
    /// runtime cannot be made.
    pub fn start(config: RouterConfig) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            published: ArcSwap::default(),
            refused: Refused::default(),
            passes: Passes::new(config.passes),
            limits: config.limits,
            connections: Arc::new(Semaphore::new(config.limits.connections)),
        });
        let threads = config
            .threads
            .map_or_else(thread::available_parallelism, Ok)?;
        let grace_ms = Arc::new(AtomicU64::new(0));
        refuse_taken(config.address)?;
        let jobs = copies::start(Arc::clone(&shared))?;
        // All listeners exist before the first thread runs: a later failure leaves nothing behind.
        let mut prepared = Vec::new();
        let mut address = config.address;
        for _ in 0..threads.get() {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let listener = listen(&runtime, address)?;
            address = listener.local_addr()?;
            prepared.push((runtime, listener));
        }
        let start = |(number, (runtime, listener))| {
            Running::start(number, (&shared, &jobs), &grace_ms, (runtime, listener))
        };
        let workers = prepared
            .into_iter()
            .enumerate()
            .map(start)
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
        let _in_order = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
        }
    }

    /// How many requests it answered by itself since it runs, by status. 502 and 504 are counted for
    /// the instance too.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<u16, u64> {
        self.shared.refused.read()
    }

    /// How many testers' passes were ignored since it runs, by reason.
    #[must_use]
    pub fn ignored_passes(&self) -> BTreeMap<&'static str, u64> {
        self.shared.passes.ignored()
    }

    /// Takes no new connection, lets requests in flight finish for at most `grace`, and stops.
    pub async fn shutdown(mut self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.grace_ms.store(grace_ms, Ordering::SeqCst);
        self.close();
        for running in self.workers.drain(..) {
            // An error means that the thread is gone, which is what we wait for.
            let _ = running.ended.await;
        }
    }

    fn close(&self) {
        for running in &self.workers {
            running.worker.close();
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.close();
    }
}

impl Running {
    fn start(
        number: usize,
        (shared, jobs): (&Arc<Shared>, &mpsc::UnboundedSender<Job>),
        grace_ms: &Arc<AtomicU64>,
        (runtime, listener): (Runtime, TcpListener),
    ) -> io::Result<Self> {
        // The standard library's keys for hashing are random: seed enough for shares.
        let worker = Worker::new(
            Arc::clone(shared),
            jobs.clone(),
            RandomState::new().build_hasher().finish(),
        );
        let (ended, wait) = oneshot::channel();
        let (serving, grace_ms) = (Arc::clone(&worker), Arc::clone(grace_ms));
        thread::Builder::new()
            .name(format!("router-{number}"))
            .spawn(move || {
                let grace = || Duration::from_millis(grace_ms.load(Ordering::SeqCst));
                runtime.block_on(serving.run(listener, grace));
                drop(runtime);
                let _ = ended.send(());
            })?;
        Ok(Self {
            worker,
            ended: wait,
        })
    }
}

/// Fails when somebody listens at `address`. Listeners that share a port would share its users too,
/// so a second router must not slip in beside the first.
fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    let socket = new_socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

/// A listener that belongs to `runtime` and may share its port. Accepted connections inherit the
/// options, which saves a system call for each.
fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(&socket, UNREAD_MAX_MS)?;
    socket.bind(address)?;
    let _inside = runtime.enter();
    socket.listen(BACKLOG)
}
