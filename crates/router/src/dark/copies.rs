//! The thread that sends copies of users' requests, and discards or compares the answers.
//!
//! There is one such thread per router, with a lower priority than the users' threads, its own
//! runtime and its own connections. A copy that hangs, fails or is slow delays only other copies.
//!
//! A copy is a request in flight of its instance, so an instance that drains finishes its copies
//! too; [`Limits::copy_timeout`](crate::config::Limits::copy_timeout) bounds how long that takes.
//! It is never counted as a user's request.
//!
//! Invariant: a copy is sent only while the newest table has the mirror that it was taken for.
//! Invariant: every copy ends within its time limit, and reads a bounded number of bytes.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header};
use tokio::{
    runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use crate::{
    dark::{
        compare::{self, ComparedParts},
        job::{Job, ToSend},
        mirror::BODY_LEN_MAX,
    },
    fault::Fault,
    instances::{
        backend::Lease,
        exchange::{self, Exchange, Sending},
        upstream::{Pool, SWEEP_EVERY, Upstream},
    },
    message::{answer_head::Head, request_head::Outgoing},
    shared::Shared,
};

/// How much lower the priority of the thread is, as a nice value.
const NICE: i32 = 10;
/// Maximum number of idle connections.
const IDLE_MAX: usize = 64;
/// Maximum number of bytes that are read of an answer only to keep the connection.
const READ_AWAY_MAX: usize = 1024 * 1024;

/// Starts the thread. It ends when the last sender of jobs is dropped.
pub(crate) fn start(shared: Arc<Shared>) -> io::Result<UnboundedSender<Job>> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Bounded by the places that the jobs hold.
    let (sender, jobs) = unbounded_channel();
    let copier = Arc::new(Copier {
        shared,
        pool: Arc::new(Pool::new(IDLE_MAX)),
        turn: AtomicUsize::new(0),
    });
    thread::Builder::new()
        .name("router-copies".to_owned())
        .spawn(move || {
            // On Linux this affects only this thread. If it fails, copies have the users' priority.
            let _ = rustix::process::setpriority_process(None, NICE);
            runtime.block_on(copier.run(jobs));
        })?;
    Ok(sender)
}

/// The thread's state.
struct Copier {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    turn: AtomicUsize,
}

/// Where the two copies of a request go.
struct Targets {
    /// An instance of the mirror's slice; `None` when it has no healthy one.
    to: Option<Lease>,
    /// An instance of the users' slice, when answers are compared.
    control: Option<Lease>,
}

impl Copier {
    async fn run(self: Arc<Self>, mut jobs: UnboundedReceiver<Job>) {
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => drop(tokio::spawn(Arc::clone(&self).carry_out(job))),
                    None => return,
                },
                _ = sweep.tick() => {
                    let generation = self.shared.published.load().generation;
                    self.pool.sweep(generation, self.shared.limits.upstream_idle_timeout);
                }
            }
        }
    }

    async fn carry_out(self: Arc<Self>, job: Job) {
        let Some(targets) = self.targets(&job) else {
            return;
        };
        let mirroring = &job.mirroring;
        mirroring.count_sent();
        let (copy, control) = tokio::join!(
            self.answer(&job.to_send, targets.to),
            self.answer(&job.to_send, targets.control),
        );
        if copy.as_ref().is_none_or(|got| got.is_server_error()) {
            mirroring.count_error();
        }
        let settings = mirroring.mirror().compare.as_ref();
        let answers = (
            job.users,
            copy.and_then(Got::whole),
            control.and_then(Got::whole),
        );
        if let (Some(settings), (Some(users), Some(copy), Some(control))) = (settings, answers) {
            mirroring.count_compared(compare::compare(settings, &users, &copy, &control));
        }
    }

    /// Chooses the instances from the newest table; `None` when the mirror has ended.
    fn targets(&self, job: &Job) -> Option<Targets> {
        let published = self.shared.published.load();
        let route = published.table.hosts.get(&job.key)?;
        let current = route.mirror.as_ref()?;
        if !Arc::ptr_eq(current, &job.mirroring) {
            return None;
        }
        let lease = |slice| {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            route.pick_in(slice, turn)?.lease(None)
        };
        let mirror = current.mirror();
        Some(Targets {
            to: lease(mirror.to),
            control: job.users.as_ref().and_then(|_| lease(mirror.from)),
        })
    }

    /// Sends one copy and reads its answer, in bounded time.
    async fn answer(&self, to_send: &ToSend, lease: Option<Lease>) -> Option<Got> {
        let lease = lease?;
        let until = Instant::now() + self.shared.limits.copy_timeout;
        let id = lease.backend().id().clone();
        match timeout_at(until, self.exchange(to_send, lease)).await {
            Ok(Ok(got)) => Some(got),
            Ok(Err(why)) => {
                tracing::debug!(instance.id = %id, "a copy got no answer: {why}");
                None
            }
            Err(_) => {
                tracing::debug!(instance.id = %id, "a copy got no answer in time");
                None
            }
        }
    }

    async fn exchange(&self, to_send: &ToSend, mut lease: Lease) -> Result<Got, io::Error> {
        let limits = self.shared.limits;
        let backend = Arc::clone(lease.backend());
        let idle = to_send.repeatable.then(|| {
            let age_max = limits.upstream_idle_timeout;
            self.pool.take(&backend, age_max, Instant::now())
        });
        if let Some(upstream) = idle.flatten() {
            let mut exchange = self.begin(to_send, upstream, lease);
            match exchange.head(limits.copy_timeout).await {
                Ok(head) => return read(head, exchange).await,
                // The instance closed the idle connection just as it was used.
                Err(Fault::Unanswered) => lease = exchange.into_retry().0,
                Err(fault) => return Err(io::Error::other(fault)),
            }
        }
        let upstream = Upstream::connect(&backend, limits.connect_timeout).await?;
        let mut exchange = self.begin(to_send, upstream, lease);
        let head = exchange.head(limits.copy_timeout).await;
        read(head.map_err(io::Error::other)?, exchange).await
    }

    fn begin(&self, to_send: &ToSend, mut upstream: Box<Upstream>, lease: Lease) -> Exchange {
        upstream.output.extend_from_slice(&to_send.head);
        upstream.data = to_send.body.clone();
        let sending = Sending {
            body: None,
            outgoing: Outgoing::Nothing,
            expects_continue: false,
            to_head: to_send.to_head,
            sampled: None,
        };
        Exchange::new(upstream, lease, Arc::clone(&self.pool), sending)
    }
}

/// The answer to a copy.
struct Got {
    answer: ComparedParts,
    /// Whether it holds the whole body.
    whole: bool,
}

impl Got {
    fn is_server_error(&self) -> bool {
        self.answer.status.is_server_error()
    }

    /// The answer, if it can be compared.
    fn whole(self) -> Option<ComparedParts> {
        self.whole.then_some(self.answer)
    }
}

/// Reads an answer to its end, and keeps the part that may be compared.
async fn read(head: Head, exchange: Exchange) -> Result<Got, io::Error> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(io::Error::other(
            "it switched to a protocol nobody asked for",
        ));
    }
    let encoded = head.headers.contains_key(header::CONTENT_ENCODING);
    let mut got = Got {
        answer: ComparedParts {
            status: head.status,
            headers: head.headers,
            encoded,
            body: Bytes::new(),
        },
        whole: true,
    };
    let mut exchange = match exchange.into_answer() {
        exchange::AnswerBody::Whole(bytes, _lease) => {
            got.whole = bytes.len() <= BODY_LEN_MAX;
            got.answer.body = bytes;
            return Ok(got);
        }
        exchange::AnswerBody::Coming(exchange) => exchange,
    };
    let (mut body, mut len) = (BytesMut::new(), 0);
    while let Some(frame) = poll_fn(|cx| exchange.poll_piece(cx)).await {
        let frame = frame.map_err(io::Error::other)?;
        let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
        len += data.len();
        got.whole = len <= BODY_LEN_MAX;
        if got.whole {
            body.extend_from_slice(data);
        }
        if len > READ_AWAY_MAX {
            return Ok(got);
        }
        if exchange.has_ended() {
            break;
        }
    }
    exchange.end();
    got.answer.body = body.freeze();
    Ok(got)
}
