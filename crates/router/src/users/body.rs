//! The body of every answer to a user.
//!
//! Invariant: as long as it exists, the user's connection counts as busy and, when it comes from an
//! instance, the instance has a request in flight.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{
    dark::sample::Capture,
    fault::Fault,
    instances::{
        backend::Lease,
        exchange::{AnswerBody, Exchange},
    },
    users::client::Busy,
};

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct RouterBody {
    source: Source,
    /// Keeps the answer, to be compared with the answers to copies.
    capture: Option<Box<Capture>>,
    _busy: Option<Busy>,
}

#[derive(Debug)]
enum Source {
    /// There is no more.
    Ended,
    /// All of it is here.
    Whole(Bytes, Option<Lease>),
    /// It comes from an instance piece by piece.
    Coming(Box<Exchange>),
}

impl RouterBody {
    pub(crate) fn text(text: Bytes) -> Self {
        Self {
            source: Source::Whole(text, None),
            capture: None,
            _busy: None,
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            source: Source::Ended,
            capture: None,
            _busy: None,
        }
    }

    pub(crate) fn from_instance(answer: AnswerBody, capture: Option<Box<Capture>>) -> Self {
        let source = match answer {
            AnswerBody::Whole(bytes, lease) => Source::Whole(bytes, Some(lease)),
            AnswerBody::Coming(exchange) => Source::Coming(exchange),
        };
        let mut body = Self {
            source,
            capture,
            _busy: None,
        };
        if let Some(capture) = body.capture.as_mut().filter(|_| body.source.has_ended()) {
            capture.see_end();
        }
        body
    }

    /// Counts the user's connection as busy until the body is gone.
    pub(crate) fn busy(mut self, busy: Busy) -> Self {
        self._busy = Some(busy);
        self
    }
}

impl Body for RouterBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let piece = ready!(self.poll_source(cx));
        let ended = self.source.has_ended();
        if let Some(capture) = &mut self.capture {
            capture.see(&piece, ended);
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.source.has_ended()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ended => SizeHint::with_exact(0),
            Source::Whole(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Source::Coming(exchange) => exchange
                .missing()
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Source {
    /// Whether there is no more.
    fn has_ended(&self) -> bool {
        match self {
            Self::Ended => true,
            Self::Whole(bytes, _) => bytes.is_empty(),
            Self::Coming(_) => false,
        }
    }
}

impl RouterBody {
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Source::Coming(exchange) = &mut self.source {
            let piece = ready!(exchange.poll_piece(cx));
            let ended = exchange.has_ended();
            if matches!(&piece, Some(Err(fault)) if fault.is_of_the_instance()) {
                exchange.lease().broke_off();
            }
            if matches!(piece, None | Some(Err(_))) || ended {
                self.end();
            }
            return Poll::Ready(piece);
        }
        match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Whole(bytes, _lease) if !bytes.is_empty() => {
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            _ => Poll::Ready(None),
        }
    }

    /// The instance is done: its connection returns to the pool, and its lease ends.
    fn end(&mut self) {
        if let Source::Coming(exchange) = std::mem::replace(&mut self.source, Source::Ended) {
            exchange.end();
        }
    }
}
