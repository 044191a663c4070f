//! Health checks: one HTTP GET, judged by its status alone.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use domain::catalogue::HealthCheck;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 2xx in time.
    Pass,
    /// An answer that says no, or none in time.
    Fail,
    /// Nobody listens (yet).
    Refused,
}

/// Asks the instance at `port` once.
pub(super) async fn check(port: u16, check: &HealthCheck) -> Verdict {
    let timeout = Duration::from_millis(u64::from(check.timeout_ms.max(1)));
    match tokio::time::timeout(timeout, ask(port, &check.path)).await {
        Ok(Ok(status)) if status.is_success() => Verdict::Pass,
        Ok(Err(Trouble::Refused)) => Verdict::Refused,
        Ok(Ok(_) | Err(Trouble::Other)) | Err(_) => Verdict::Fail,
    }
}

enum Trouble {
    Refused,
    Other,
}

async fn ask(port: u16, path: &str) -> Result<http::StatusCode, Trouble> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    let stream = stream.map_err(|_| Trouble::Refused)?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| Trouble::Other)?;
    let request = http::Request::get(path)
        .header(http::header::HOST, format!("127.0.0.1:{port}"))
        .header(http::header::USER_AGENT, "pointsman-health")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Trouble::Other)?;
    // Ended with the check: a connection may end a moment before its answer is handed over.
    let _driver = Driver(tokio::spawn(connection).abort_handle());
    let answer = sender.send_request(request).await;
    answer
        .map(|answer| answer.status())
        .map_err(|_| Trouble::Other)
}

/// Drives a connection for as long as it is kept.
struct Driver(tokio::task::AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}
