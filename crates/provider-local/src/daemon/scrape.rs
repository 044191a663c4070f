//! Serves the metrics to Prometheus at `http://127.0.0.1:PORT/metrics`, with a listener of its own,
//! so that users of the router never reach it.
//!
//! Invariant: there are few connections at once, each for a bounded time and one request.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    error::DaemonError,
    metrics::{CONTENT_TYPE, Seen},
    world::Daemon,
};

/// The path of the metrics.
const PATH: &str = "/metrics";
/// Maximum number of readers at once; further ones wait in the kernel.
const READERS_MAX: usize = 8;
/// How long a reader may take.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Pause after `accept` failed.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Listens on the port that was asked for, else on that of the last run, else on a free one.
///
/// # Errors
/// When the port that was asked for is taken.
pub(super) async fn listen(asked: Option<u16>, last: u16) -> Result<TcpListener, DaemonError> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let port = asked.unwrap_or(last);
    match bind(port).await {
        Ok(listener) => Ok(listener),
        Err(_) if asked.is_none() => Ok(bind(0).await?),
        Err(source) => Err(DaemonError::Metrics { port, source }),
    }
}

/// Answers until the returned task is aborted.
pub(super) fn serve(daemon: &Arc<Daemon>, listener: TcpListener) -> JoinHandle<()> {
    // A reader that lingers must not keep the daemon alive.
    let daemon = Arc::downgrade(daemon);
    tokio::spawn(async move {
        let readers = Arc::new(Semaphore::new(READERS_MAX));
        loop {
            let permit = Arc::clone(&readers).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let daemon = Weak::clone(&daemon);
                    tokio::spawn(async move {
                        let _permit = permit;
                        // A reader that left or took too long gets no answer.
                        let _ = timeout(TIME_MAX, answer(daemon, stream)).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a reader of metrics; trying again");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    })
}

async fn answer(daemon: Weak<Daemon>, stream: TcpStream) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let daemon = daemon.upgrade();
        async move {
            let text = match (check(&request), daemon) {
                (Ok(()), Some(daemon)) => text(&daemon).await,
                (Ok(()), None) => Err(StatusCode::SERVICE_UNAVAILABLE),
                (Err(status), _) => Err(status),
            };
            Ok::<_, Infallible>(respond(text))
        }
    });
    http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// The metrics. Without the router there are none: a gap is true, zeros would not be.
async fn text(daemon: &Daemon) -> Result<String, StatusCode> {
    let reading = daemon.router.read(None).await.map_err(|error| {
        tracing::warn!(%error, "there are no metrics without the router");
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    Ok(Seen::of(daemon, reading).into_text())
}

/// Accepts only local host names: a web page that reaches this port by another name (DNS rebinding)
/// must not read the metrics.
fn check(request: &Request<Incoming>) -> Result<(), StatusCode> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost") {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, PATH) => Ok(()),
        (_, PATH) => Err(StatusCode::METHOD_NOT_ALLOWED),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

fn respond(text: Result<String, StatusCode>) -> Response<Full<Bytes>> {
    let (status, content_type, text) = match text {
        Ok(text) => (StatusCode::OK, CONTENT_TYPE, text),
        Err(status) => {
            let text = format!("Metrics are at GET http://127.0.0.1:PORT{PATH}.\n");
            (status, "text/plain; charset=utf-8", text)
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// The port of a listener.
pub(super) fn port(listener: &TcpListener) -> io::Result<u16> {
    listener.local_addr().map(|address| address.port())
}
