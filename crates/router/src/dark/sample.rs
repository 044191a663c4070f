//! What the users' threads do for dark traffic: draw the requests to copy, keep them as they pass,
//! and hand them over once the user has an answer.
//!
//! A request is handed over when the head of its answer has arrived. If answers are compared, it is
//! handed over when the whole answer has passed, the user has left, or the answer is too long to be
//! compared. So a request without an answer is not copied, and no copy runs ahead of its user.
//!
//! Invariant: nothing here waits, and nothing that passes is changed or held back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, header, request};
use http_body::Frame;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    dark::{
        compare::ComparedParts,
        job::{Job, ToSend},
        mirror::{BODY_LEN_MAX, Mirroring, Place, SHADOW},
    },
    fault::Fault,
    instances::backend::Backend,
    message::{
        answer_head::Head,
        host::Key,
        request_head::{self, Outgoing, Wording},
    },
    table::{Route, scale},
    worker::Worker,
};

/// A user's request that will be copied.
#[derive(Debug)]
pub(crate) struct Sampled {
    mirroring: Arc<Mirroring>,
    /// The key of its route in the table.
    key: String,
    to_send: ToSend,
    /// The part of the request's body that has passed so far.
    body: BytesMut,
    /// The length of the body that the request states, in bytes.
    body_len: usize,
    /// The place for its bytes; without one, none are kept and answers are not compared.
    kept: Option<Place>,
    jobs: UnboundedSender<Job>,
    copies_max: usize,
}

/// Decides whether this request, which goes to `backend`, is copied.
pub(crate) fn sample(
    worker: &Worker,
    backend: &Arc<Backend>,
    head: &request::Parts,
    wording: &Wording<'_>,
) -> Option<Box<Sampled>> {
    let published = worker.table();
    if !published.has_mirrors {
        return None;
    }
    let key = Key::of(wording.host)?;
    let route = published.table.hosts.get(key.as_str())?;
    let mirroring = route.mirror.as_ref()?;
    let body_len = match wording.outgoing {
        Outgoing::Nothing => 0,
        Outgoing::Length(len) => len,
        Outgoing::Chunked => return None,
    };
    let mirror = mirroring.mirror();
    let is_drawn = mirroring.may_copy(&head.method, body_len)
        && scale(worker.random(), 100) < u64::from(mirror.percent)
        && !wording.websocket
        && serves(route, mirroring, backend);
    let copies_max = worker.limits().copies;
    if !is_drawn || mirroring.drops(copies_max) {
        return None;
    }
    let keeps = body_len > 0 || mirror.compare.is_some();
    let kept = keeps.then(|| mirroring.keep()).flatten();
    if body_len > 0 && kept.is_none() {
        return mirroring.or_dropped(None);
    }
    Some(Box::new(Sampled {
        mirroring: Arc::clone(mirroring),
        key: key.as_str().to_owned(),
        to_send: to_send(head, wording),
        body: BytesMut::new(),
        body_len: usize::try_from(body_len).unwrap_or(usize::MAX),
        kept,
        jobs: worker.jobs.clone(),
        copies_max,
    }))
}

/// Whether `backend` is in the slice whose requests are copied.
fn serves(route: &Route, mirroring: &Mirroring, backend: &Arc<Backend>) -> bool {
    let from = mirroring.mirror().from;
    let slices = route.slices.iter().filter(|slice| slice.slice == from);
    slices
        .flat_map(|slice| &slice.backends)
        .any(|other| Arc::ptr_eq(other, backend))
}

/// The head of the copies: the head that the instance gets, with the mark added.
fn to_send(head: &request::Parts, wording: &Wording<'_>) -> ToSend {
    let wording = Wording {
        // A copy is sent with its whole body, so it does not wait for `100 Continue`.
        expects_continue: false,
        ..*wording
    };
    let mut output = Vec::with_capacity(1024);
    request_head::write(&mut output, head, &wording);
    output.truncate(output.len() - b"\r\n".len());
    output.extend_from_slice(SHADOW.as_str().as_bytes());
    output.extend_from_slice(b": 1\r\n\r\n");
    ToSend {
        head: output.into(),
        body: Bytes::new(),
        to_head: head.method == Method::HEAD,
        repeatable: matches!(head.method, Method::GET | Method::HEAD),
    }
}

impl Sampled {
    /// A piece of the request's body passes.
    pub(crate) fn see_body(&mut self, piece: &Bytes) {
        // The exchange ensures that no more than the stated length passes.
        self.body.extend_from_slice(piece);
    }

    /// The head of the answer has arrived. Hands the request over, unless the answer is to be
    /// compared: then the answer is kept while it passes.
    pub(crate) fn answered(self: Box<Self>, head: &Head) -> Option<Box<Capture>> {
        let compare = self.mirroring.mirror().compare.as_ref();
        let Some(compare) = compare.filter(|_| self.kept.is_some()) else {
            self.hand_over(None);
            return None;
        };
        let answer = ComparedParts {
            status: head.status,
            headers: chosen(&head.headers, &compare.headers),
            encoded: head.headers.contains_key(header::CONTENT_ENCODING),
            body: Bytes::new(),
        };
        Some(Box::new(Capture {
            sampled: Some(self),
            answer,
            body: BytesMut::new(),
            whole: false,
        }))
    }

    /// Gives it to the thread that sends copies, with the user's answer if answers are compared.
    fn hand_over(mut self, users: Option<ComparedParts>) {
        // An instance may answer before it has read the whole request.
        if self.body.len() != self.body_len {
            return;
        }
        let Some(place) = self.mirroring.begin(self.copies_max) else {
            return;
        };
        self.to_send.body = self.body.freeze();
        let job = Job {
            mirroring: self.mirroring,
            key: self.key,
            to_send: self.to_send,
            users,
            _place: place,
        };
        // An error means that the router has stopped.
        let _ = self.jobs.send(job);
    }
}

/// Those of some headers that are named.
fn chosen(headers: &HeaderMap, names: &[String]) -> HeaderMap {
    let names = names
        .iter()
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    let fields = names.flat_map(|name| {
        let values = headers.get_all(&name).iter().cloned();
        values.map(move |value| (name.clone(), value))
    });
    let mut chosen = HeaderMap::new();
    for (name, value) in fields {
        chosen.append(name, value);
    }
    chosen
}

/// Keeps a user's answer while it passes, and hands the request over when dropped.
#[derive(Debug)]
pub(crate) struct Capture {
    sampled: Option<Box<Sampled>>,
    answer: ComparedParts,
    body: BytesMut,
    /// Whether the whole answer has passed and is kept.
    whole: bool,
}

impl Capture {
    /// A piece of the answer passes; `ended` says that nothing follows.
    pub(crate) fn see(&mut self, piece: &Option<Result<Frame<Bytes>, Fault>>, ended: bool) {
        match piece {
            Some(Err(_)) => return self.give_up(),
            Some(Ok(frame)) => {
                let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
                if self.body.len() + data.len() > BODY_LEN_MAX {
                    return self.give_up();
                }
                self.body.extend_from_slice(data);
            }
            None => {}
        }
        self.whole = ended || piece.is_none();
    }

    /// The answer has no body.
    pub(crate) fn see_end(&mut self) {
        self.whole = true;
    }

    /// The answer cannot be compared. The request is copied all the same.
    fn give_up(&mut self) {
        self.body = BytesMut::new();
        if let Some(sampled) = self.sampled.take() {
            sampled.hand_over(None);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let Some(sampled) = self.sampled.take() else {
            return;
        };
        let body = std::mem::take(&mut self.body).freeze();
        let headers = std::mem::take(&mut self.answer.headers);
        let answer = ComparedParts {
            headers,
            body,
            ..self.answer
        };
        sampled.hand_over(self.whole.then_some(answer));
    }
}
