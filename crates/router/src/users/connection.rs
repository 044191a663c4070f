//! How a user's connection is served, and its time limits.
//!
//! Time limits cost nothing per request: one timer per connection ticks every few seconds and
//! compares the connection's counts with those of the last tick.
//!
//! Invariant: a connection that does not finish the head of a request, or is silent, is closed in
//! bounded time. One with a request in flight is left alone; the exchange has its own limits.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{config::Limits, forward, users::client::Client, worker::Phase};

/// Every HTTP/2 connection begins with this (RFC 9113, section 3.4); no method is called `PRI`.
const HTTP2_BEGIN: &[u8; 4] = b"PRI ";
/// Maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 250;
/// How often an HTTP/2 peer is pinged, and how long it may take to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);
/// hyper's own limit of header fields. Setting it, even to the same number, costs hyper an array per
/// request.
const HYPER_HEADERS_MAX: usize = 100;
/// Largest read of a request's body and largest write buffer, in bytes.
const BUFFER_MAX: usize = 128 * 1024;

/// Serves the connection to its end. Its first bytes say whether it is HTTP/1.1 or HTTP/2.
pub(crate) async fn serve(client: Arc<Client>, stream: TcpStream) {
    let limits = client.worker.limits();
    let http2 = match timeout(limits.header_timeout, speaks_http2(&stream)).await {
        Ok(Ok(http2)) => http2,
        Ok(Err(_)) | Err(_) => return,
    };
    let io = TokioIo::new(Watched {
        stream,
        client: Arc::clone(&client),
    });
    let of_requests = Arc::clone(&client);
    let service = service_fn(move |request: Request<Incoming>| {
        forward::answer(Arc::clone(&of_requests), request)
    });
    if http2 {
        let connection = http2_builder(&limits).serve_connection(io, service);
        let stop = conn::http2::Connection::graceful_shutdown;
        watch(client, connection, Patience::new(limits, true), stop).await;
    } else {
        let connection = http1_builder(&limits)
            .serve_connection(io, service)
            .with_upgrades();
        let stop = conn::http1::UpgradeableConnection::graceful_shutdown;
        watch(client, connection, Patience::new(limits, false), stop).await;
    }
}

/// Drives `connection` until it ends, is idle for too long, or the worker closes.
async fn watch<C, E>(
    client: Arc<Client>,
    connection: C,
    mut patience: Patience,
    stop: fn(Pin<&mut C>),
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let worker = Arc::clone(&client.worker);
    let mut changes = pin!(worker.phase_changes());
    let mut tick = pin!(sleep(patience.step));
    let mut connection = pin!(connection);
    let (mut registered, mut stopped, mut phase) = (false, false, Phase::Open);
    // HTTP/2 has words for it, which no request in flight gets past. A connection of HTTP/1 that
    // leaves is told with its next answer.
    let stops_in = match patience.http2 {
        true => Phase::Leaving,
        false => Phase::Closing,
    };
    poll_fn(|cx| {
        // Both are polled once; the task's waker stays the same until they fire.
        if !registered {
            registered =
                changes.as_mut().poll(cx).is_pending() && tick.as_mut().poll(cx).is_pending();
        }
        if worker.phase() > phase {
            changes.set(worker.phase_changes());
            registered = changes.as_mut().poll(cx).is_pending();
            phase = worker.phase();
        }
        if !stopped && phase >= stops_in {
            stopped = true;
            stop(connection.as_mut());
        }
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            if let Err(error) = end {
                tracing::debug!(peer = %client.peer, "a user's connection ended early: {error}");
            }
            return Poll::Ready(());
        }
        while tick.is_elapsed() {
            match patience.tick(&client) {
                Timeliness::Wait => {}
                // Tells the peer, if its protocol can. It has until the next tick.
                Timeliness::Idle if !stopped => {
                    stopped = true;
                    stop(connection.as_mut());
                    cx.waker().wake_by_ref();
                }
                Timeliness::Idle | Timeliness::Slow => return Poll::Ready(()),
            }
            tick.as_mut().reset(Instant::now() + patience.step);
            ready!(tick.as_mut().poll(cx));
        }
        Poll::Pending
    })
    .await;
}

/// Whether the peer begins to speak HTTP/2. Leaves the bytes in the socket.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; HTTP2_BEGIN.len()];
    loop {
        let len = stream.peek(&mut seen).await?;
        if len == HTTP2_BEGIN.len() || len == 0 || !HTTP2_BEGIN.starts_with(&seen[..len]) {
            return Ok(seen[..len] == HTTP2_BEGIN[..]);
        }
        // The kernel reports the same bytes again and again; wait for the rest of the word.
        sleep(Duration::from_millis(5)).await;
    }
}

fn http1_builder(limits: &Limits) -> conn::http1::Builder {
    let mut builder = conn::http1::Builder::new();
    if limits.headers != HYPER_HEADERS_MAX {
        builder.max_headers(limits.headers);
    }
    builder
        .header_read_timeout(None)
        .half_close(false)
        .max_header_size(limits.header_bytes)
        .max_buf_size(BUFFER_MAX.max(limits.header_bytes));
    builder
}

fn http2_builder(limits: &Limits) -> conn::http2::Builder<TokioExecutor> {
    let mut builder = conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    builder
}

/// What a tick found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timeliness {
    /// All is well.
    Wait,
    /// There was no request for too long.
    Idle,
    /// The head of a request takes too long.
    Slow,
}

/// How long a connection may be idle, in ticks.
#[derive(Debug)]
struct Patience {
    step: Duration,
    header: u32,
    idle: u32,
    /// Whether it is HTTP/2, whose peers also send bytes between requests, such as answers to
    /// pings.
    http2: bool,
    /// Requests that had ended at the last tick.
    served: u64,
    /// Ticks without a request in flight and without one that ended.
    waited: u32,
    /// Ticks in which the head of a request had begun.
    begun: u32,
}

impl Patience {
    /// A tick is half as long as the header timeout, so the timeout is noticed at most one tick
    /// late.
    fn new(limits: Limits, http2: bool) -> Self {
        let step = (limits.header_timeout / 2).max(Duration::from_millis(1));
        let idle = limits.idle_timeout.as_nanos().div_ceil(step.as_nanos());
        let idle = u32::try_from(idle).unwrap_or(u32::MAX);
        Self {
            step,
            header: 2,
            idle,
            http2,
            served: 0,
            waited: 0,
            begun: 0,
        }
    }

    /// Compares the connection with what it was at the last tick.
    fn tick(&mut self, client: &Client) -> Timeliness {
        let served = client.served();
        let moved = std::mem::replace(&mut self.served, served) != served;
        if moved || client.is_busy() {
            (self.waited, self.begun) = (0, 0);
            return Timeliness::Wait;
        }
        self.waited += 1;
        // Somebody waits for the place.
        if client.worker.shared.connections.available_permits() == 0 {
            return Timeliness::Idle;
        }
        // The first head is expected from the start.
        let begun = served == 0 || (!self.http2 && client.has_begun());
        self.begun = if begun { self.begun + 1 } else { 0 };
        if self.begun >= self.header {
            Timeliness::Slow
        } else if self.waited >= self.idle {
            Timeliness::Idle
        } else {
            Timeliness::Wait
        }
    }
}

/// The user's stream; notes when bytes arrive.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    client: Arc<Client>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.client.note_bytes();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
