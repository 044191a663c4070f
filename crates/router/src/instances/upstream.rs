//! Connections to instances, and the pool of idle ones.
//!
//! No task polls an idle connection: tokio's reactor hears from the kernel, and [`Pool::take`]
//! checks there, without a system call, before it returns a connection.
//!
//! Invariant: an idle connection holds no request, no unread byte and no large buffer.
//! Invariant: every pool is bounded in number and in time.

use std::{
    collections::HashMap,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::AsyncWrite,
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use crate::instances::backend::Backend;

/// Maximum number of idle connections per instance and thread.
const IDLE_PER_BACKEND_MAX: usize = 64;
/// How often idle connections are checked.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_millis(500);
/// An idle connection keeps no buffer that is larger than this, in bytes.
const IDLE_BUFFER_MAX: usize = 16 * 1024;
/// The first read of an answer asks for this many bytes.
pub(crate) const READ_LEN_MIN: usize = 8 * 1024;

/// A connection to an instance, with the buffers of the request that uses it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    /// Bytes that were read and not yet parsed.
    pub(crate) input: BytesMut,
    /// Bytes to be sent before `data`: the request's head or the frame of a chunk.
    pub(crate) output: Vec<u8>,
    /// How much of `output` is sent.
    pub(crate) sent: usize,
    /// A piece of the request's body to be sent after `output`.
    pub(crate) data: Bytes,
    /// What is to be sent after `data`: the line end of a chunk.
    pub(crate) tail: &'static [u8],
    /// How long to wait for the instance. Kept, because resetting a timer is cheaper than making
    /// one.
    pub(crate) patience: Pin<Box<Sleep>>,
    /// How much the next read asks for, in bytes.
    pub(crate) read_len: usize,
    /// It has served a request before.
    pub(crate) reused: bool,
    /// When its last request began. Idle time counts from here, which saves reading the clock once
    /// per request and errs on the safe side.
    pub(crate) used_at: Instant,
}

impl Upstream {
    /// Connects to `backend`.
    ///
    /// # Errors
    /// The kernel's error, or `TimedOut` after `timeout`.
    pub(crate) async fn connect(backend: &Backend, timeout: Duration) -> io::Result<Box<Self>> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(backend.address())).await??;
        stream.set_nodelay(true)?;
        Ok(Box::new(Self {
            stream,
            input: BytesMut::new(),
            output: Vec::with_capacity(1024),
            sent: 0,
            data: Bytes::new(),
            tail: b"",
            patience: Box::pin(sleep(timeout)),
            read_len: READ_LEN_MIN,
            reused: false,
            used_at: Instant::now(),
        }))
    }

    /// Whether the instance neither closed it nor sent anything while it was idle.
    fn is_silent(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.stream.poll_read_ready(&mut context).is_pending() || {
            // The reactor's mark may be left over from the last read; only a read can tell.
            let read = self.stream.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }
    }

    /// Whether nothing of a request waits to be sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.sent == self.output.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Writes once what waits to be sent: output, data, tail.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let output = &self.output[self.sent..];
        let stream = Pin::new(&mut self.stream);
        if self.data.is_empty() && self.tail.is_empty() {
            // The usual case, a request without body: cheaper than a vector of one.
            return stream.poll_write(cx, output);
        }
        let parts = [
            IoSlice::new(output),
            IoSlice::new(&self.data),
            IoSlice::new(self.tail),
        ];
        stream.poll_write_vectored(cx, &parts)
    }

    /// Notes that `len` bytes of output, data and tail, in this order, were sent.
    pub(crate) fn advance(&mut self, len: usize) {
        let of_output = len.min(self.output.len() - self.sent);
        self.sent += of_output;
        let of_data = (len - of_output).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[len - of_output - of_data..];
    }

    /// Forgets the last request.
    fn rest(&mut self) {
        self.output.clear();
        self.sent = 0;
        self.data = Bytes::new();
        self.tail = b"";
        self.reused = true;
        self.read_len = READ_LEN_MIN;
        if self.input.capacity() > IDLE_BUFFER_MAX {
            self.input = BytesMut::new();
        }
        if self.output.capacity() > IDLE_BUFFER_MAX {
            self.output = Vec::new();
        }
    }
}

/// The idle connections of one thread, by instance.
#[derive(Debug)]
pub(crate) struct Pool {
    /// How many it keeps at most.
    max: usize,
    /// A panic elsewhere leaves it whole: no step of a change is half done.
    idle: Mutex<Idle>,
}

/// An instance and the idle connections to it, the one used last at the end.
type IdleOf = (Arc<Backend>, Vec<Box<Upstream>>);

#[derive(Debug, Default)]
struct Idle {
    /// Keyed by the address of the `Backend`, which stays alive as long as the entry.
    backends: HashMap<usize, IdleOf>,
    count: usize,
}

fn key(backend: &Arc<Backend>) -> usize {
    Arc::as_ptr(backend) as usize
}

impl Pool {
    /// An empty pool for at most `max` connections.
    pub(crate) fn new(max: usize) -> Self {
        let idle = Mutex::default();
        Self { max, idle }
    }

    /// The connection that was used last, if it is still usable and has been idle for less than
    /// `age_max` at `now`.
    pub(crate) fn take(
        &self,
        backend: &Arc<Backend>,
        age_max: Duration,
        now: Instant,
    ) -> Option<Box<Upstream>> {
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        let (_, connections) = idle.backends.get_mut(&key(backend))?;
        while let Some(mut connection) = connections.pop() {
            idle.count -= 1;
            if !connection.is_silent() {
                backend.note_hanging_up();
            } else if connection.used_at + age_max > now {
                connection.used_at = now;
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for later, unless its instance drains or the pool is full.
    pub(crate) fn put(&self, backend: &Arc<Backend>, mut connection: Box<Upstream>) {
        if backend.is_draining() {
            return;
        }
        connection.rest();
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        let entry = idle.backends.entry(key(backend));
        let (_, connections) = entry.or_insert_with(|| (Arc::clone(backend), Vec::new()));
        if connections.len() < IDLE_PER_BACKEND_MAX && idle.count < self.max {
            connections.push(connection);
            idle.count += 1;
        }
    }

    /// Closes connections that have been idle for `age_max`, that the instance closed, or whose
    /// instance drains or is not in the table of `generation`.
    pub(crate) fn sweep(&self, generation: u64, age_max: Duration) {
        let mut idle = self.idle.lock();
        let idle = &mut *idle;
        for (backend, connections) in idle.backends.values_mut() {
            if !backend.keeps_idle(generation) {
                connections.clear();
            }
            connections.retain(|idle| {
                let silent = idle.is_silent();
                if !silent {
                    backend.note_hanging_up();
                }
                silent && idle.used_at.elapsed() < age_max
            });
        }
        idle.backends
            .retain(|_, (_, connections)| !connections.is_empty());
        idle.count = idle
            .backends
            .values()
            .map(|(_, connections)| connections.len())
            .sum();
    }
}
