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
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::guests::{FIRST_MAX, House, IDLE_MAX};

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

/// Serves `router` until `stopping`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let builder = builder();
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
        let (guest, routes) = (
            place.guest.clone(),
            TowerToHyperService::new(router.clone()),
        );
        let service = service_fn(move |mut request: Request<Incoming>| {
            let under_way = guest.begin();
            request.extensions_mut().insert(guest.clone());
            let answer = routes.call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| under_way.with(body))) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended early");
                },
                () = place.guest.has_to_leave() => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some requests did not finish in time");
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
