//! Accepts connections: bounded in number, with time limits, and finished in order.

use std::{convert::Infallible, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::Accept;
use tokio_util::sync::CancellationToken;

use crate::{
    guests::{FIRST_MAX, House, IDLE_MAX, Place},
    origin::Origin,
    tls::Certificates,
};

/// Connections at once. One more takes the place of the oldest that showed no token.
const CONNECTIONS_MAX: usize = 2048;
/// Connections of one peer at once. A proxy in front is one peer, and so is this machine.
const CONNECTIONS_PER_PEER_MAX: usize = 1536;
/// Largest head of a request, in bytes.
const HEAD_LEN_MAX: u32 = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const REQUESTS_PER_CONNECTION_MAX: u32 = 128;
/// How long requests under way may take when the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// How long accepting rests after an error, such as too many open files.
const REST: Duration = Duration::from_millis(100);

/// What stands between the one who asks and the routes.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// The certificate, where this server ends TLS itself.
    pub tls: Option<Certificates>,
    /// How many proxies in front of it are trusted to say who asks.
    pub hops: usize,
}

/// Serves `router` until `stopping`, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    front: Front,
    stopping: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let house = House::new(CONNECTIONS_MAX, CONNECTIONS_PER_PEER_MAX);
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went away at once");
            continue;
        }
        let Some(place) = house.enter(peer.ip()) else {
            tracing::debug!("a connection was refused: all places are taken");
            continue;
        };
        let connection = Connection {
            place,
            router: router.clone(),
            hops: front.hops,
            watcher: graceful.watcher(),
        };
        match &front.tls {
            None => drop(tokio::spawn(connection.serve(stream))),
            Some(certificates) => {
                let handshake = certificates.acceptor().accept(stream);
                tokio::spawn(connection.protected(handshake, stopping.clone()));
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time");
    }
}

/// One connection, before its first request.
struct Connection {
    place: Place,
    router: Router,
    hops: usize,
    watcher: Watcher,
}

impl Connection {
    /// Serves it once TLS is there, which has to be soon.
    async fn protected(self, handshake: Accept<TcpStream>, stopping: CancellationToken) {
        let stream = tokio::select! {
            stream = tokio::time::timeout(FIRST_MAX, handshake) => stream,
            () = self.place.guest.has_to_leave() => return,
            () = stopping.cancelled() => return,
        };
        match stream {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "a connection has no TLS"),
            Err(_) => tracing::debug!("a connection took too long to begin TLS"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let guest = self.place.guest.clone();
        let (routes, hops) = (TowerToHyperService::new(self.router), self.hops);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let under_way = guest.begin();
            let origin = Origin::of(request.headers(), guest.peer(), hops);
            request.extensions_mut().insert(guest.clone());
            request.extensions_mut().insert(origin);
            let answer = routes.call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| under_way.with(body))) }
        });
        let builder = builder();
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = self.watcher.watch(connection.into_owned());
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(error, "a connection ended early");
            },
            () = self.place.guest.has_to_leave() => {}
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(FIRST_MAX)
        .max_buf_size(HEAD_LEN_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LEN_MAX)
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
        .keep_alive_interval(IDLE_MAX)
        .keep_alive_timeout(FIRST_MAX);
    builder
}
