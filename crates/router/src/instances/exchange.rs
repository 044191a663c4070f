//! One request and its answer on one connection to an instance.
//!
//! Both directions are driven by the task of the user's connection, first from [`Exchange::head`],
//! then from the body of the answer: no task and no channel per request.
//!
//! Invariant: the [`Lease`] lives as long as the exchange; it ends with the last byte of the
//! answer, or when the answer is dropped.
//! Invariant: a connection is reused only when the whole request was sent, the whole answer was
//! read, nothing followed it, and the instance agreed.
//! Invariant: at most one piece of the request's body and one read of the answer are in memory.

use std::{
    future::{Future, poll_fn},
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::{net::TcpStream, time::Instant};
use tokio_util::io::poll_read_buf;

use crate::{
    dark::sample::Sampled,
    fault::{Fault, WireFault},
    instances::{
        backend::Lease,
        upstream::{Pool, READ_LEN_MIN, Upstream},
    },
    message::{
        answer_head::{self, Head},
        framing::{Framing, Piece},
        request_head::Outgoing,
        trailers,
    },
};

/// Largest read of an answer, in bytes.
const READ_LEN_MAX: usize = 256 * 1024;
/// How many `1xx` answers may come before the real one.
const INTERIM_MAX: u8 = 16;
/// How much of a request's body must arrive in the time that a user may be silent, unless it ends, in
/// bytes: a byte now and then does not keep a connection to an instance.
const PROGRESS: usize = 4096;
/// How long the body of a request waits for `100 Continue` before it is sent anyway: many servers
/// never send that (RFC 9110, section 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Exchange {
    upstream: Box<Upstream>,
    lease: Lease,
    pool: Arc<Pool>,
    /// The rest of the request's body; `None` once all of it was taken.
    body: Option<Incoming>,
    outgoing: Outgoing,
    /// The body waits for `100 Continue`.
    hold: bool,
    /// We wait for the user, not for the instance.
    waits_for_user: bool,
    /// How much of the body was taken since patience was renewed for it, in bytes.
    progress: usize,
    /// The instance stopped reading the request; it may still answer.
    deaf: bool,
    to_head: bool,
    /// The request will be copied.
    sampled: Option<Box<Sampled>>,
    framing: Framing,
    keep_alive: bool,
    answered: bool,
}

/// What to send and how; the head is in [`Upstream::output`] already.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) body: Option<Incoming>,
    pub(crate) outgoing: Outgoing,
    /// The user waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The request is a HEAD.
    pub(crate) to_head: bool,
    /// The request will be copied.
    pub(crate) sampled: Option<Box<Sampled>>,
}

/// The body of an answer once its head was read.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// All of it is here; the connection is in the pool already.
    Whole(Bytes, Lease),
    /// It is still coming.
    Coming(Box<Exchange>),
}

impl Exchange {
    pub(crate) fn new(
        upstream: Box<Upstream>,
        lease: Lease,
        pool: Arc<Pool>,
        sending: Sending,
    ) -> Self {
        Self {
            upstream,
            lease,
            pool,
            body: sending.body,
            outgoing: sending.outgoing,
            hold: sending.expects_continue,
            waits_for_user: false,
            progress: 0,
            deaf: false,
            to_head: sending.to_head,
            sampled: sending.sampled,
            framing: Framing::UntilClose,
            keep_alive: false,
            answered: false,
        }
    }

    /// Sends the request and waits for the head of the answer. `timeout` is the longest silence.
    ///
    /// # Errors
    /// Any [`Fault`]. After that, the exchange can only be dropped or turned into a retry.
    pub(crate) async fn head(&mut self, timeout: Duration) -> Result<Head, Fault> {
        let first = if self.hold { CONTINUE_WAIT } else { timeout };
        let until = self.upstream.used_at + first;
        self.upstream.patience.as_mut().reset(until);
        let mut interims = 0;
        loop {
            let head = poll_fn(|cx| self.poll_head(cx, timeout)).await?;
            if head.status == StatusCode::SWITCHING_PROTOCOLS || !head.status.is_informational() {
                self.framing = head.framing;
                self.keep_alive = head.keep_alive;
                return Ok(head);
            }
            self.hold = false;
            self.be_patient(timeout);
            interims += 1;
            if interims > INTERIM_MAX {
                return Err(WireFault("it has more than 16 interim answers").into());
            }
        }
    }

    fn be_patient(&mut self, timeout: Duration) {
        self.upstream
            .patience
            .as_mut()
            .reset(Instant::now() + timeout);
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, timeout: Duration) -> Poll<Result<Head, Fault>> {
        loop {
            let uploading = self.body.is_some() || !self.upstream.data.is_empty();
            let moved = self.poll_send(cx)?;
            let ended = self.body.is_none();
            if moved && uploading && !self.hold && (ended || self.progress >= PROGRESS) {
                self.progress = 0;
                self.be_patient(timeout);
            }
            if !self.upstream.input.is_empty()
                && let Some(head) = answer_head::take_head(&mut self.upstream.input, self.to_head)?
            {
                return Poll::Ready(Ok(head));
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0) | Err(_)) if self.answered => {
                    return Poll::Ready(Err(Fault::Truncated));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Fault::Unanswered)),
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => ready!(self.upstream.patience.as_mut().poll(cx)),
            }
            if !self.hold {
                let fault = if self.waits_for_user {
                    Fault::Stalled
                } else {
                    Fault::Silent
                };
                return Poll::Ready(Err(fault));
            }
            self.hold = false;
            self.be_patient(timeout);
        }
    }

    /// Sends as much of the request as the socket takes. True when something was sent.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let mut moved = false;
        loop {
            self.poll_body(cx)?;
            let upstream = &mut *self.upstream;
            if upstream.is_flushed() {
                return Ok(moved);
            }
            match upstream.poll_write(cx) {
                Poll::Ready(Ok(len)) if len > 0 => upstream.advance(len),
                Poll::Pending => return Ok(moved),
                // It may have answered before it closed, so go on reading.
                Poll::Ready(_) => {
                    self.deaf = true;
                    self.body = None;
                    upstream.sent = upstream.output.len();
                    upstream.data.clear();
                    upstream.tail = b"";
                }
            }
            moved = true;
        }
    }

    /// Takes the next piece of the request's body once the one before is sent.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        self.waits_for_user = false;
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        let upstream = &mut *self.upstream;
        if self.hold || !upstream.data.is_empty() || !upstream.tail.is_empty() {
            return Ok(());
        }
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            self.waits_for_user = true;
            return Ok(());
        };
        if upstream.is_flushed() {
            upstream.output.clear();
            upstream.sent = 0;
        }
        match frame
            .transpose()
            .map_err(Fault::Broken)?
            .map(Frame::into_data)
        {
            None => self.end_body(&HeaderMap::new()),
            Some(Ok(data)) => self.begin_piece(data),
            Some(Err(frame)) => self.end_body(&frame.into_trailers().unwrap_or_default()),
        }
    }

    fn begin_piece(&mut self, data: Bytes) -> Result<(), Fault> {
        self.progress += data.len();
        let upstream = &mut *self.upstream;
        match &mut self.outgoing {
            // An empty chunk would end the body.
            Outgoing::Chunked if data.is_empty() => {}
            Outgoing::Chunked => {
                write!(upstream.output, "{:x}\r\n", data.len()).expect("a Vec takes everything");
                upstream.tail = b"\r\n";
            }
            Outgoing::Length(missing) => {
                let left = missing
                    .checked_sub(data.len() as u64)
                    .ok_or(Fault::WrongLength)?;
                *missing = left;
                if left == 0 {
                    self.body = None;
                }
            }
            Outgoing::Nothing => return Err(Fault::WrongLength),
        }
        if let Some(sampled) = &mut self.sampled {
            sampled.see_body(&data);
        }
        upstream.data = data;
        Ok(())
    }

    fn end_body(&mut self, fields: &HeaderMap) -> Result<(), Fault> {
        self.body = None;
        match self.outgoing {
            Outgoing::Chunked => trailers::end_chunks(&mut self.upstream.output, fields),
            Outgoing::Length(0) | Outgoing::Nothing => {}
            Outgoing::Length(_) => return Err(Fault::WrongLength),
        }
        Ok(())
    }

    /// Reads once; the buffer grows with the amount that the instance sends.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Upstream {
            stream,
            input,
            read_len,
            ..
        } = &mut *self.upstream;
        input.reserve(*read_len);
        let room = input.capacity() - input.len();
        let read = ready!(poll_read_buf(Pin::new(stream), cx, input))?;
        self.answered |= read > 0;
        if read == room {
            *read_len = (*read_len * 2).min(READ_LEN_MAX);
        } else if read < *read_len / 4 {
            *read_len = (*read_len / 2).max(READ_LEN_MIN);
        }
        Poll::Ready(Ok(read))
    }

    /// After the head: the request, if it will be copied.
    pub(crate) fn take_sampled(&mut self) -> Option<Box<Sampled>> {
        self.sampled.take()
    }

    /// After the head: the body, whole if it is here already.
    pub(crate) fn into_answer(mut self) -> AnswerBody {
        let input = &mut self.upstream.input;
        match self.framing.missing() {
            Some(missing) if missing == input.len() as u64 => {
                let bytes = input.split().freeze();
                self.framing = Framing::Length(0);
                AnswerBody::Whole(bytes, self.finish())
            }
            _ => AnswerBody::Coming(Box::new(self)),
        }
    }

    /// Returns the connection to the pool if it can be reused.
    fn finish(self) -> Lease {
        let sent = self.body.is_none() && self.upstream.is_flushed() && !self.deaf;
        if sent && self.keep_alive && self.framing.has_ended() && self.upstream.input.is_empty() {
            self.pool.put(self.lease.backend(), self.upstream);
        }
        self.lease
    }

    /// The next piece of the answer's body; `None` at its end.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            // The instance may answer while it still reads the request.
            self.poll_send(cx)?;
            match self.framing.take_piece(&mut self.upstream.input)? {
                Piece::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Piece::Trailers(fields) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Piece::End => return Poll::Ready(None),
                Piece::More => {}
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.framing == Framing::UntilClose => return Poll::Ready(None),
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(Fault::Truncated))),
                Ok(_) => {}
            }
        }
    }

    /// How much of the body is still missing, in bytes, when that is known.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.framing.missing()
    }

    /// Whether the end of the body was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.framing.has_ended()
    }

    /// After the end: returns the connection to the pool.
    pub(crate) fn end(self) {
        drop(self.finish());
    }

    /// Whether the connection served an earlier request. If so, after a [`Fault::Unanswered`], the
    /// instance may have closed it while it was idle, and a repeatable request is repeated.
    pub(crate) fn was_reused(&self) -> bool {
        self.upstream.reused
    }

    /// The request on its way, to be counted.
    pub(crate) fn lease(&mut self) -> &mut Lease {
        &mut self.lease
    }

    /// After a fault: the lease, and the request's head, to be sent again.
    pub(crate) fn into_retry(self) -> (Lease, Vec<u8>) {
        (self.lease, self.upstream.output)
    }

    /// After `101 Switching Protocols`: the connection, the bytes that already arrived on it, and
    /// the lease.
    pub(crate) fn into_tunnel(self) -> (TcpStream, BytesMut, Lease) {
        (self.upstream.stream, self.upstream.input, self.lease)
    }
}
