//! One request from a user: find its route, choose an instance, pass it on, pass the answer back.
//!
//! A request is sent again only when that is safe: none of it was sent, because no connection could
//! be made; or it is a GET, HEAD or OPTIONS without a body, and the instance closed an idle
//! connection just as it was used (RFC 9112, section 9.3.1). In that case it is sent once more, on
//! a new connection.
//!
//! Invariant: at most [`TRIED_MAX`] instances are tried, and none again after it refused.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, request};
use hyper::body::Incoming;
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use crate::{
    choice::Choice,
    dark::sample::{Sampled, sample},
    fault::Fault,
    instances::{
        backend::{Asked, Backend, Lease},
        exchange::{Exchange, Sending},
        upstream::Upstream,
    },
    message::{
        answer_head::Head,
        host::{Key, host_of},
        request_head::{self, Outgoing, Wording},
    },
    table::Pick,
    users::{
        body::RouterBody,
        client::{Busy, Client},
        refusal::Refusal,
        tunnel::Tunnel,
    },
    worker::Phase,
};

/// How many instances are tried for one request.
const TRIED_MAX: usize = 3;
/// While every instance drains, a newer table is on its way: how long to wait for it, and how often
/// to check.
const TABLE_WAIT: Duration = Duration::from_secs(1);
const TABLE_LOOK: Duration = Duration::from_millis(2);
/// A request that must not be repeated uses an idle connection only if it was idle for less than
/// this. The shortest keep-alive time of common servers is 2 s (gunicorn).
const UNREPEATABLE_IDLE_MAX: Duration = Duration::from_secs(1);

/// Answers one request. Never fails: what goes wrong becomes an answer.
pub(crate) async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<RouterBody>, Infallible> {
    let busy = Busy::new(&client);
    let http1 = request.version() <= Version::HTTP_11;
    let mut response = forward(&client, request).await.unwrap_or_else(|refusal| {
        client.worker.shared.refused.count(refusal.status());
        refusal.into_response()
    });
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if http1 && !upgraded && client.worker.phase() >= Phase::Leaving {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| body.busy(busy)))
}

async fn forward(
    client: &Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<RouterBody>, Refusal> {
    if request.method() == Method::CONNECT {
        return Err(Refusal::NotImplemented("CONNECT"));
    }
    if request.version() <= Version::HTTP_11 && request_head::is_coded(request.headers()) {
        return Err(Refusal::NotImplemented("this transfer coding"));
    }
    let upgrade = request
        .extensions_mut()
        .remove::<hyper::upgrade::OnUpgrade>();
    let (head, body) = request.into_parts();
    let host = host_of(&head).map_err(Refusal::BadRequest)?;
    let outgoing = request_head::outgoing(&head, &body);
    let has_body = !matches!(outgoing, Outgoing::Nothing | Outgoing::Length(0));
    let upgrade = upgrade.filter(|_| !has_body && request_head::asks_for_websocket(&head));
    let wording = Wording {
        host,
        peer: &client.peer,
        outgoing,
        websocket: upgrade.is_some(),
        expects_continue: has_body && request_head::expects_continue(&head),
    };
    let mut attempt = Attempt {
        client,
        head: &head,
        wording,
        body: has_body.then_some(body),
        now: Instant::now(),
        choice: None,
    };
    let (answer, exchange) = attempt.run().await?;
    let mut response = respond(client, answer, exchange, upgrade)?;
    if let Some(choice) = attempt.choice {
        choice.mark(response.headers_mut());
    }
    Ok(response)
}

/// A request, and everything needed to send it.
struct Attempt<'a> {
    client: &'a Arc<Client>,
    head: &'a request::Parts,
    wording: Wording<'a>,
    body: Option<Incoming>,
    /// The time when the clock was last read; close enough to now.
    now: Instant,
    /// Where it goes, once its host is found.
    choice: Option<Choice>,
}

impl Attempt<'_> {
    /// Sends the request until an instance answers.
    async fn run(&mut self) -> Result<(Head, Exchange), Refusal> {
        let worker = &self.client.worker;
        let limits = worker.limits();
        let (mut lease, mut upstream) = self.reach().await?;
        let repeatable = self.body.is_none()
            && matches!(
                self.head.method,
                Method::GET | Method::HEAD | Method::OPTIONS
            );
        request_head::write(&mut upstream.output, self.head, &self.wording);
        loop {
            let sending = Sending {
                body: self.body.take(),
                outgoing: self.wording.outgoing,
                expects_continue: self.wording.expects_continue,
                to_head: self.head.method == Method::HEAD,
                sampled: self.sampled(lease.backend()),
            };
            let mut exchange = Exchange::new(upstream, lease, Arc::clone(&worker.pool), sending);
            let fault = match exchange.head(limits.first_byte_timeout).await {
                Ok(head) => return Ok((head, exchange)),
                Err(fault) => fault,
            };
            let hung_up = exchange.was_reused() && matches!(fault, Fault::Unanswered);
            if hung_up {
                exchange.lease().backend().note_hanging_up();
            }
            if !(repeatable && hung_up) {
                let (mut lease, _) = exchange.into_retry();
                let refusal = refusal(&fault, lease.backend());
                if fault.is_of_the_instance() {
                    lease.answered(refusal.status());
                } else if !fault.is_a_user_who_left() {
                    lease.forgive();
                }
                return Err(refusal);
            }
            let output;
            (lease, output) = exchange.into_retry();
            (lease, upstream) = self.reach_afresh(lease).await?;
            upstream.output = output;
        }
    }

    /// Begins to keep the request for a copy, if it is drawn. Testers' requests are not copied.
    fn sampled(&self, backend: &Arc<Backend>) -> Option<Box<Sampled>> {
        let by_pass = self.choice.as_ref().is_some_and(Choice::by_pass);
        let sampled = || sample(&self.client.worker, backend, self.head, &self.wording);
        (!by_pass).then(sampled).flatten()
    }

    /// An instance and a connection to it, idle or new.
    async fn reach(&mut self) -> Result<(Lease, Box<Upstream>), Refusal> {
        let worker = &self.client.worker;
        let limits = worker.limits();
        let lease = self.choose(&[], None).await?;
        let age_max = match (self.body.is_none(), &self.head.method) {
            (true, &Method::GET | &Method::HEAD | &Method::OPTIONS) => limits.upstream_idle_timeout,
            _ if lease.backend().hangs_up() => Duration::ZERO,
            _ => UNREPEATABLE_IDLE_MAX.min(limits.upstream_idle_timeout),
        };
        match worker.pool.take(lease.backend(), age_max, self.now) {
            Some(upstream) => Ok((lease, upstream)),
            None => self.reach_afresh(lease).await,
        }
    }

    /// A new connection to the instance of `lease`, or to another one when that fails.
    async fn reach_afresh(&mut self, mut lease: Lease) -> Result<(Lease, Box<Upstream>), Refusal> {
        let limits = self.client.worker.limits();
        let mut tried = Vec::new();
        loop {
            let backend = Arc::clone(lease.backend());
            let error = match Upstream::connect(&backend, limits.connect_timeout).await {
                Ok(upstream) => return Ok((lease, upstream)),
                Err(error) => error,
            };
            tracing::debug!(instance.id = %backend.id(), "could not connect to an instance: {error}");
            if is_our_own(&error) {
                lease.forgive();
                return Err(Refusal::Exhausted);
            }
            // This instance failed the request, and cost its user this time; whoever answers it
            // after all is asked from now on.
            let refusal = unreachable(&backend, &error);
            lease.answered(refusal.status());
            drop(lease);
            self.now = Instant::now();
            tried.push(backend);
            if tried.len() == TRIED_MAX {
                return Err(refusal);
            }
            lease = self.choose(&tried, Some(refusal)).await?;
        }
    }

    /// Chooses an instance that was not `tried`, and counts the request as in flight there.
    ///
    /// # Errors
    /// Without such an instance: `otherwise`, or that there is no healthy instance.
    async fn choose(
        &mut self,
        tried: &[Arc<Backend>],
        otherwise: Option<Refusal>,
    ) -> Result<Lease, Refusal> {
        let (worker, host) = (&self.client.worker, self.wording.host);
        let unknown = || Refusal::UnknownHost(host.to_owned());
        let key = Key::of(host).ok_or_else(unknown)?;
        let mut until = None;
        loop {
            {
                // Always the newest table: the one before may list only instances that drain.
                let published = worker.table();
                let route = published
                    .table
                    .hosts
                    .get(key.as_str())
                    .ok_or_else(unknown)?;
                let choice = self.choice.get_or_insert_with(|| {
                    Choice::of(route, key.as_str(), &self.head.headers, worker)
                });
                match choice.pick(route, worker.turn(), tried) {
                    Pick::Backend(backend) => {
                        let (since, who) = (self.now, choice.who());
                        let counted = route.counts(self.head.uri.path());
                        let asked = counted.then_some(Asked { since, who });
                        if let Some(lease) = backend.lease(asked) {
                            return Ok(lease);
                        }
                    }
                    Pick::Draining => {}
                    Pick::Nobody => {
                        return Err(
                            otherwise.unwrap_or_else(|| Refusal::NoInstance(host.to_owned()))
                        );
                    }
                }
            }
            self.now = Instant::now();
            if self.now >= *until.get_or_insert(self.now + TABLE_WAIT) {
                return Err(otherwise.unwrap_or_else(|| Refusal::NoInstance(host.to_owned())));
            }
            sleep(TABLE_LOOK).await;
        }
    }
}

/// Whether no connection could be made because the router, or its machine, has run out of something:
/// that says nothing about the instance.
fn is_our_own(error: &io::Error) -> bool {
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| ours.contains(&errno))
}

/// Why no connection could be made.
fn unreachable(backend: &Backend, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::TimedOut => Refusal::GatewayTimeout(format!(
            "instance {} did not accept a connection in time",
            backend.id()
        )),
        kind => Refusal::BadGateway(format!(
            "could not connect to instance {}: {kind}",
            backend.id()
        )),
    }
}

/// The answer to the user when an exchange broke off.
fn refusal(fault: &Fault, backend: &Backend) -> Refusal {
    let why = format!("instance {}: {fault}", backend.id());
    match fault {
        Fault::Silent => Refusal::GatewayTimeout(why),
        Fault::Stalled => Refusal::RequestTimeout,
        Fault::Broken(_) | Fault::WrongLength => Refusal::BadRequest("its body broke off"),
        Fault::Unanswered | Fault::Truncated | Fault::Faulty(_) => Refusal::BadGateway(why),
    }
}

/// Passes an instance's answer on, and counts it.
fn respond(
    client: &Arc<Client>,
    head: Head,
    mut exchange: Exchange,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
) -> Result<Response<RouterBody>, Refusal> {
    let sampled = exchange.take_sampled();
    let capture = sampled.and_then(|sampled| sampled.answered(&head));
    let mut response = Response::new(RouterBody::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        exchange.lease().answered(head.status);
        *response.body_mut() = RouterBody::from_instance(exchange.into_answer(), capture);
        return Ok(response);
    }
    let Some(upgrade) = upgrade.filter(|_| head.websocket) else {
        exchange.lease().answered(StatusCode::BAD_GATEWAY);
        return Err(Refusal::BadGateway(
            "it switched to a protocol nobody asked for".to_owned(),
        ));
    };
    exchange.lease().answered(head.status);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Tunnel::new(Busy::new(client), exchange).spawn(upgrade);
    Ok(response)
}
