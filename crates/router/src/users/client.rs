//! What is known of a user's connection while it and its requests are served.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::worker::Worker;

/// What is known of a user's connection. Lives until its last request or tunnel has ended.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) worker: Arc<Worker>,
    /// The user's address as text.
    pub(crate) peer: String,
    /// Number of requests in flight.
    busy: AtomicU32,
    /// Number of requests that ended.
    served: AtomicU64,
    /// Bytes arrived since the last request ended: the head of the next one has begun.
    begun: AtomicBool,
    _permit: OwnedSemaphorePermit,
    /// The worker waits until the last clone of it is gone.
    _alive: mpsc::Sender<()>,
}

/// Counts a request as in flight on the connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Client>);

impl Busy {
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        client.busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(client))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.begun.store(false, Ordering::Relaxed);
    }
}

impl Client {
    pub(crate) fn new(
        worker: &Arc<Worker>,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        alive: &mpsc::Sender<()>,
    ) -> Arc<Self> {
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            worker: Arc::clone(worker),
            peer: peer.ip().to_canonical().to_string(),
            busy: AtomicU32::new(0),
            served: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            _permit: permit,
            _alive: alive.clone(),
        })
    }

    /// Notes that bytes arrived from the user.
    pub(crate) fn note_bytes(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// The number of requests that ended.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether a request is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Whether bytes arrived since the last request ended: the head of the next one has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
