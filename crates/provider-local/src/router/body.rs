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

use super::{
    client::Busy,
    exchange::{Answer, Exchange, Fault},
    table::Lease,
};

/// The body of an answer.
#[derive(Debug)]
pub(super) struct RouterBody {
    source: Source,
    _busy: Option<Busy>,
}

#[derive(Debug)]
enum Source {
    /// Nothing more.
    Ended,
    /// All of it is here.
    Whole(Bytes, Option<Lease>),
    /// It comes from an instance piece by piece.
    Coming(Box<Exchange>),
}

impl RouterBody {
    pub(super) fn text(text: Bytes) -> Self {
        Self {
            source: Source::Whole(text, None),
            _busy: None,
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            source: Source::Ended,
            _busy: None,
        }
    }

    pub(super) fn from_instance(answer: Answer) -> Self {
        let source = match answer {
            Answer::Whole(bytes, lease) => Source::Whole(bytes, Some(lease)),
            Answer::Coming(exchange) => Source::Coming(exchange),
        };
        Self {
            source,
            _busy: None,
        }
    }

    /// Counts the user's connection as busy until the body is gone.
    pub(super) fn busy(mut self, busy: Busy) -> Self {
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
        if let Source::Coming(exchange) = &mut self.source {
            let piece = ready!(exchange.poll_piece(cx));
            let ended = exchange.has_ended();
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

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Whole(bytes, _) => bytes.is_empty(),
            Source::Coming(_) => false,
        }
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

impl RouterBody {
    /// The instance is done: its connection goes back, its count goes down.
    fn end(&mut self) {
        if let Source::Coming(exchange) = std::mem::replace(&mut self.source, Source::Ended) {
            exchange.end();
        }
    }
}
