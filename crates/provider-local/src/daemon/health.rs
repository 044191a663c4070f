//! Health checks: one HTTP GET, judged by its status alone.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use domain::{catalogue::HealthCheck, time::human_ms};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 2xx in time.
    Pass,
    /// Another status.
    Answered(u16),
    /// No answer in time, or none that can be understood.
    Silent,
    /// Nobody listens (yet).
    Refused,
}

impl Verdict {
    /// What an instance does wrong that is judged so by `check`.
    pub(super) fn told(self, check: &HealthCheck) -> String {
        let path = &check.path;
        match self {
            Self::Pass => format!("answers GET {path}"),
            Self::Answered(status) => format!("answers GET {path} with {status}"),
            Self::Silent => {
                let time = human_ms(check.timeout_ms.into());
                format!("gives no proper answer to GET {path} within {time}")
            }
            Self::Refused => "does not listen on the port that the variable PORT names".to_owned(),
        }
    }
}

/// Asks the instance at `port` once.
pub(super) async fn check(port: u16, check: &HealthCheck) -> Verdict {
    let timeout = Duration::from_millis(u64::from(check.timeout_ms.max(1)));
    match tokio::time::timeout(timeout, ask(port, &check.path)).await {
        Ok(Ok(status)) if status.is_success() => Verdict::Pass,
        Ok(Ok(status)) => Verdict::Answered(status.as_u16()),
        Ok(Err(Trouble::Refused)) => Verdict::Refused,
        Ok(Err(Trouble::Other)) | Err(_) => Verdict::Silent,
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
