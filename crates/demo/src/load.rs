//! A steady load through the router, and an honest count of what failed.
//!
//! Invariant: nothing is retried. Half of the requests go over new connections, half over kept-alive
//! ones; a kept-alive connection is only replaced when the other side had closed it *before* a
//! request was sent. Everything but a complete answer with status 200 is a failure.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::latency::Histogram;
use cli::failure::{Exit, Failure};

/// Users at once; half of them keep their connections.
const USERS: u32 = 60;
/// One request in so many takes its time, so that there is always one in flight.
const SLOW_EVERY: u64 = 40;
/// Longest time until a complete answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How many reasons of failures are remembered.
const REASONS_MAX: usize = 5;
/// The header in which the example shop tells its release.
const RELEASE_HEADER: &str = "x-release";

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the router listens.
    pub address: SocketAddr,
    /// The name of the service there, for the `Host` header.
    pub host: String,
    /// What is asked for.
    pub path: String,
}

impl Target {
    /// Where the router of this machine serves `url`. The name needs no resolver: it is this
    /// machine.
    ///
    /// # Errors
    /// When `url` is none.
    pub fn of(url: &str) -> Result<Self, Failure> {
        let parsed = Url::parse(url).ok();
        let parts = parsed
            .as_ref()
            .and_then(|url| url.host_str().zip(url.port_or_known_default()));
        let (host, port) = parts.ok_or_else(|| {
            let what = format!("{url:?} is not the address of a service");
            Failure::new(Exit::NotReached, what)
        })?;
        Ok(Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            host: format!("{host}:{port}"),
            path: parsed.map_or("/".to_owned(), |url| url.path().to_owned()),
        })
    }
}

/// A load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    counters: Arc<Counters>,
    users: JoinSet<()>,
}

/// What was counted so far.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Requests that were sent and answered or failed.
    pub requests: u64,
    /// Those among them that failed.
    pub failed: u64,
    /// Answers by the release that gave them.
    pub releases: BTreeMap<String, u64>,
    /// The first few reasons of failures.
    pub reasons: Vec<String>,
    /// How long answers took that were not asked to take their time.
    pub latency: Histogram,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    failed: AtomicU64,
    rest: Mutex<Counts>,
}

impl Counters {
    fn rest(&self) -> MutexGuard<'_, Counts> {
        // A poisoned count is still a count: the update is one addition.
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one answer; `took` is `None` when it was asked to take its time.
    fn count(&self, answer: Result<String, String>, took: Option<Duration>) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut rest = self.rest();
        match answer {
            Ok(release) => {
                if let Some(took) = took {
                    rest.latency.add(took);
                }
                *rest.releases.entry(release).or_default() += 1;
            }
            Err(reason) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if rest.reasons.len() < REASONS_MAX {
                    rest.reasons.push(reason);
                }
            }
        }
    }
}

impl Counts {
    /// What was counted since `before`. Reasons are all that are remembered.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut counts = self.clone();
        counts.requests -= before.requests;
        counts.failed -= before.failed;
        counts.latency = self.latency.since(&before.latency);
        for (release, count) in &before.releases {
            if let Some(now) = counts.releases.get_mut(release) {
                *now -= count;
            }
        }
        counts.releases.retain(|_, count| *count > 0);
        counts
    }
}

impl Load {
    /// Starts sending about `per_second` requests per second.
    #[must_use]
    pub fn start(target: &Target, per_second: u32) -> Self {
        let counters = Arc::new(Counters::default());
        let mut users = JoinSet::new();
        let pause = Duration::from_secs(1) * USERS / per_second.max(1);
        for number in 0..USERS {
            let user = User {
                target: target.clone(),
                counters: Arc::clone(&counters),
                keeps: number % 2 == 0,
                connection: None,
            };
            // Spread over the pause, so that the load is steady and not a drumbeat.
            let first = Instant::now() + pause * number / USERS;
            users.spawn(user.run(first, pause));
        }
        Self { counters, users }
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counters.rest().clone();
        counts.requests = self.counters.requests.load(Ordering::Relaxed);
        counts.failed = self.counters.failed.load(Ordering::Relaxed);
        counts
    }

    /// Stops sending; requests in flight are not waited for.
    pub async fn stop(mut self) -> Counts {
        self.users.shutdown().await;
        self.counts()
    }
}

/// One user: asks, pauses, asks again.
struct User {
    target: Target,
    counters: Arc<Counters>,
    keeps: bool,
    connection: Option<http1::SendRequest<Empty<Bytes>>>,
}

impl User {
    async fn run(mut self, first: Instant, pause: Duration) {
        let mut tick = interval_at(first, pause);
        // Late requests are caught up: the rate holds even when some of them are slow.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for number in 1_u64.. {
            tick.tick().await;
            // Only the front page has a slow sister.
            let slow = number.is_multiple_of(SLOW_EVERY) && self.target.path == "/";
            let path = if slow {
                "/slow?ms=400"
            } else {
                &self.target.path
            };
            let path = path.to_owned();
            let started = Instant::now();
            let answer = timeout(ANSWER_MAX, self.ask(&path))
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs())));
            if answer.is_err() {
                self.connection = None;
            }
            let took = (!slow).then(|| started.elapsed());
            self.counters.count(answer, took);
        }
    }

    /// Asks once; gives the release that answered.
    async fn ask(&mut self, path: &str) -> Result<String, String> {
        let mut connection = match self.kept().await {
            Some(kept) => kept,
            None => connect(self.target.address).await?,
        };
        let request = Request::get(path)
            .header(header::HOST, &self.target.host)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let kind = if self.keeps { "kept-alive" } else { "new" };
        let failed = |error: hyper::Error| format!("{kind} connection: {}", root_cause(&error));
        let response = connection.send_request(request).await.map_err(failed)?;
        let status = response.status();
        let release = response.headers().get(RELEASE_HEADER).cloned();
        let body = response.into_body().collect().await.map_err(failed)?;
        if status != hyper::StatusCode::OK {
            let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
            return Err(format!("{kind} connection: status {status}: {text:.200}"));
        }
        if self.keeps {
            self.connection = Some(connection);
        }
        let release = release.as_ref().and_then(|value| value.to_str().ok());
        Ok(release.unwrap_or("unknown").to_owned())
    }

    /// The kept connection, unless the other side closed it.
    async fn kept(&mut self) -> Option<http1::SendRequest<Empty<Bytes>>> {
        let mut kept = self.connection.take()?;
        kept.ready().await.ok().map(|()| kept)
    }
}

async fn connect(address: SocketAddr) -> Result<http1::SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect: {error}"))?;
    // Without this the second write of a request may wait for an acknowledgement.
    stream
        .set_nodelay(true)
        .map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("connect: {error}"))?;
    // Errors of the connection reach the requests on it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers every request on one connection, each fifth with an error.
    async fn converse(mut stream: TcpStream) {
        let mut buffer = [0; 4096];
        for number in 1_u32.. {
            match stream.read(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
            let status = if number.is_multiple_of(5) { 503 } else { 200 };
            let answer =
                format!("HTTP/1.1 {status} x\r\nx-release: 1\r\ncontent-length: 2\r\n\r\nok");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn every_error_is_counted_and_nothing_is_retried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream));
            }
        });
        let host = "shop".to_owned();
        let load = Load::start(
            &Target {
                address,
                host,
                path: "/".to_owned(),
            },
            2000,
        );
        let enough = async {
            while load.counts().failed < 20 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), enough)
            .await
            .expect("failures");
        let counts = load.stop().await;
        // Only kept-alive connections come as far as a fifth request.
        assert!(counts.reasons[0].starts_with("kept-alive connection: status 503"));
        assert_eq!(counts.requests, counts.failed + counts.releases["1"]);
        server.abort();
    }

    #[test]
    fn the_router_is_found_without_a_resolver() {
        let target = Target::of("http://storefront.staging.localhost:7081/").expect("a target");
        assert_eq!(target.address.to_string(), "127.0.0.1:7081");
        assert_eq!(target.host, "storefront.staging.localhost:7081");
    }
}
