//! Health checks: one HTTP GET, judged by its status alone, and how many in a row change an
//! instance's health.

use std::{net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use domain::{catalogue::HealthCheck, time::human_ms};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeResult {
    /// 2xx in time.
    Pass,
    /// Another status.
    Answered(u16),
    /// No answer in time, or one that is not HTTP.
    Silent,
    /// The port is not open (yet).
    Refused,
}

impl ProbeResult {
    /// What is wrong with an instance that `check` judged like this.
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
pub(super) async fn check(port: u16, check: &HealthCheck) -> ProbeResult {
    let timeout = Duration::from_millis(u64::from(check.timeout_ms.max(1)));
    match tokio::time::timeout(timeout, ask(port, &check.path)).await {
        Ok(Ok(status)) if status.is_success() => ProbeResult::Pass,
        Ok(Ok(status)) => ProbeResult::Answered(status.as_u16()),
        Ok(Err(Trouble::Refused)) => ProbeResult::Refused,
        Ok(Err(Trouble::Other)) | Err(_) => ProbeResult::Silent,
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
    // Ends with the check: a connection may end a moment before its answer is delivered.
    let _driver = Driver(tokio::spawn(connection).abort_handle());
    let answer = sender.send_request(request).await;
    answer
        .map(|answer| answer.status())
        .map_err(|_| Trouble::Other)
}

/// Drives a connection until it is dropped.
struct Driver(tokio::task::AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts passes and failures in a row.
pub(super) struct Health {
    pub(super) was_healthy: bool,
    passes: u32,
    failures: u32,
}

/// What a check changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(super) fn new(was_healthy: bool) -> Self {
        Self {
            was_healthy,
            passes: 0,
            failures: 0,
        }
    }

    pub(super) fn see(&mut self, result: ProbeResult, check: &HealthCheck) -> Change {
        if result == ProbeResult::Pass {
            (self.passes, self.failures) = (self.passes.saturating_add(1), 0);
            if !self.was_healthy && self.passes >= check.healthy_threshold.max(1) {
                self.was_healthy = true;
                return Change::Healthy;
            }
        } else {
            (self.passes, self.failures) = (0, self.failures.saturating_add(1));
            if self.was_healthy && self.failures >= check.unhealthy_threshold.max(1) {
                return Change::Unhealthy;
            }
        }
        Change::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_changes_after_as_many_checks_in_a_row_as_the_thresholds_say() {
        use ProbeResult::{Answered, Pass, Refused, Silent};
        let check = HealthCheck {
            healthy_threshold: 2,
            unhealthy_threshold: 3,
            ..HealthCheck::default()
        };
        let mut health = Health::new(false);
        let results = [
            Refused,
            Pass,
            Silent,
            Pass,
            Pass,
            Silent,
            Answered(503),
            Pass,
            Answered(404),
            Silent,
            Silent,
        ];
        let changes = results.map(|result| health.see(result, &check));
        let mut expected = [Change::None; 11];
        expected[4] = Change::Healthy;
        expected[10] = Change::Unhealthy;
        assert_eq!(changes, expected);
    }
}
