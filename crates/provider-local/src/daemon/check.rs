//! One check of an instance: a request, a connection or a command.
//!
//! Invariant: a shortage of our own is no verdict about the instance.

use std::{
    io,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use domain::catalogue::{HealthMethod, Probe, Request};
use http::{HeaderName, HeaderValue, header};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncReadExt, net::TcpStream, process::Child};

use super::fault::{Answer, Asked, Fault, first_words};
use crate::shortage;

/// Maximum number of bytes of an answer or an output that are looked at.
const BYTES_MAX: usize = 512;
/// How long the first words of an answer may take, once its head is there.
const WORDS: Duration = Duration::from_millis(200);

/// What one check says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is well.
    Pass,
    /// Something is wrong with the instance.
    Fail(Fault),
    /// It could not be checked, for a reason that is not its own.
    Unknown(String),
}

/// Makes the command that runs a shell line as the instance would.
pub(super) type Inside<'a> = &'a (dyn Fn(&str) -> io::Result<Command> + Sync);

/// Checks an instance once.
pub(super) async fn check(asked: Asked<'_>, inside: Inside<'_>) -> Outcome {
    let timeout = Duration::from_millis(u64::from(asked.check.timeout_ms.max(1)));
    let check = async {
        match asked.check.probe() {
            Probe::Http(request) => http(asked, request).await,
            Probe::Tcp => connect(asked.port).await.map(|_| ()),
            Probe::Command(line) => command(line, inside).await,
        }
    };
    match tokio::time::timeout(timeout, check).await {
        Ok(Ok(())) => Outcome::Pass,
        Ok(Err(outcome)) => outcome,
        Err(_) if matches!(asked.check.probe(), Probe::Command(_)) => {
            let how = "did not end in time, and was killed".to_owned();
            Outcome::Fail(Fault::Command(how, String::new()))
        }
        Err(_) => Outcome::Fail(Fault::Silent),
    }
}

async fn connect(port: u16) -> Result<TcpStream, Outcome> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
    stream.map_err(|error| unless_ours(&error, Fault::Refused(Vec::new())))
}

fn unless_ours(error: &io::Error, fault: Fault) -> Outcome {
    if shortage::is_ours(error) {
        Outcome::Unknown(error.to_string())
    } else {
        Outcome::Fail(fault)
    }
}

async fn http(asked: Asked<'_>, request: Request<'_>) -> Result<(), Outcome> {
    let not_http = |error: hyper::Error| {
        if error.is_parse() {
            Outcome::Fail(Fault::NotHttp)
        } else {
            Outcome::Fail(Fault::Silent)
        }
    };
    let stream = connect(asked.port).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(not_http)?;
    // Ends with the check: a connection may end a moment before its answer is delivered.
    let _driver = Driver(tokio::spawn(connection).abort_handle());
    let request_head = head(asked.host, request);
    let request_head = request_head.ok_or(Outcome::Fail(Fault::NotHttp))?;
    let answer = sender.send_request(request_head).await.map_err(not_http)?;
    let status = answer.status().as_u16();
    if request.accepts(status) {
        return Ok(());
    }
    let location = answer.headers().get(header::LOCATION);
    let location = location.map(|it| first_words(it.as_bytes()));
    let words = words(answer.into_body()).await;
    Err(Outcome::Fail(Fault::Answered(Answer {
        status,
        location,
        words,
    })))
}

/// The request as users would send it, and what the settings add.
fn head(host: &str, asked: Request<'_>) -> Option<http::Request<Empty<Bytes>>> {
    let method = match asked.method {
        HealthMethod::Get => http::Method::GET,
        HealthMethod::Head => http::Method::HEAD,
        HealthMethod::Options => http::Method::OPTIONS,
        HealthMethod::Post => http::Method::POST,
    };
    let request = http::Request::builder()
        .method(method)
        .uri(asked.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, "pointsman-health")
        .header(header::CONNECTION, "close");
    let mut request = request.body(Empty::new()).ok()?;
    for (name, value) in asked.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_str(value).ok()?;
        request.headers_mut().insert(name, value);
    }
    Some(request)
}

/// The first words of a body, as far as they come quickly.
async fn words(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while bytes.len() < BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes.extend(frame.into_data().unwrap_or_default());
        }
    };
    // What came until then is what there is.
    let _ = tokio::time::timeout(WORDS, read).await;
    bytes.truncate(BYTES_MAX);
    first_words(&bytes)
}

/// Drives a connection until it is dropped.
struct Driver(tokio::task::AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn command(line: &str, inside: Inside<'_>) -> Result<(), Outcome> {
    let failed = |how: String, words| Outcome::Fail(Fault::Command(how, words));
    let cannot = |error: io::Error| {
        let fault = Fault::Command(format!("cannot be run: {error}"), String::new());
        unless_ours(&error, fault)
    };
    // What it says on either output says why it failed.
    let line = format!("exec 2>&1\n{line}");
    let command = inside(&line).map_err(cannot)?;
    let child = tokio::process::Command::from(command)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut running = Running(child.map_err(cannot)?);
    let mut words = Vec::new();
    if let Some(output) = running.0.stdout.take() {
        let limit = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
        let mut output = output.take(limit);
        output.read_to_end(&mut words).await.map_err(cannot)?;
        // The rest is read as well, so that the command is not held up.
        let mut rest = output.into_inner();
        tokio::io::copy(&mut rest, &mut tokio::io::sink())
            .await
            .map_err(cannot)?;
    }
    let status = running.0.wait().await.map_err(cannot)?;
    if status.success() {
        return Ok(());
    }
    Err(failed(format!("ended with {status}"), first_words(&words)))
}

/// A command that is killed, with its children, unless it ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(group) = pid.and_then(Pid::from_raw) {
            // Not waited for yet, so the group is still its own; it may be empty.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::catalogue::{HealthCheck, InstanceLimits};
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;
    use crate::launch::Launch;

    /// Answers one request with `answer`, and returns what was asked.
    async fn answers(text: &str, answer: &'static str) -> (Outcome, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        let outcome = checked(text, port).await;
        (outcome, serving.await.unwrap())
    }

    async fn checked(text: &str, port: u16) -> Outcome {
        let check: HealthCheck = serde_json::from_str(text).unwrap();
        let asked = Asked {
            check: &check,
            port,
            host: "cart.live.localhost:8080",
        };
        let launch = Launch {
            folder: "/".into(),
            variables: [("WORD".to_owned(), "broken".to_owned())].into(),
            user: None,
            limits: InstanceLimits::default(),
        };
        super::check(asked, &|line| Ok(launch.shell(line))).await
    }

    #[tokio::test]
    async fn a_request_is_sent_as_users_send_theirs() {
        let ok = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (outcome, asked) = answers("{}", ok).await;
        assert_eq!(outcome, Outcome::Pass);
        assert!(asked.starts_with("GET /health HTTP/1.1\r\n"), "{asked}");
        assert!(
            asked.contains("\r\nhost: cart.live.localhost:8080\r\n"),
            "{asked}"
        );
        let settings = r#"{"path": "/up", "method": "HEAD", "headers":
            {"Host": "shop.example", "X-Forwarded-Proto": "https"}}"#;
        let (outcome, asked) = answers(settings, ok).await;
        assert_eq!(outcome, Outcome::Pass);
        assert!(asked.starts_with("HEAD /up HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nhost: shop.example\r\n"), "{asked}");
        assert!(
            asked.contains("\r\nx-forwarded-proto: https\r\n"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn other_statuses_fail_unless_they_are_accepted() {
        let moved =
            "HTTP/1.1 302 Found\r\nlocation: https://shop/\r\ncontent-length: 4\r\n\r\nmove";
        let (outcome, _) = answers("{}", moved).await;
        let expected = Answer {
            status: 302,
            location: Some("https://shop/".to_owned()),
            words: "move".to_owned(),
        };
        assert_eq!(outcome, Outcome::Fail(Fault::Answered(expected)));
        let (outcome, _) = answers(r#"{"accept": [200, "3xx"]}"#, moved).await;
        assert_eq!(outcome, Outcome::Pass);
        let (outcome, _) = answers("{}", "SSH-2.0-x\r\n\r\n").await;
        assert_eq!(outcome, Outcome::Fail(Fault::NotHttp));
    }

    #[tokio::test]
    async fn a_connection_or_a_command_can_decide() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(checked(r#"{"kind": "tcp"}"#, port).await, Outcome::Pass);
        drop(listener);
        let refused = checked(r#"{"kind": "tcp"}"#, port).await;
        assert_eq!(refused, Outcome::Fail(Fault::Refused(Vec::new())));
        let command = |line: &str| {
            let settings =
                serde_json::json!({"kind": "command", "command": line, "timeout_ms": 500});
            let settings = settings.to_string();
            async move { checked(&settings, 1).await }
        };
        assert_eq!(command("test -n \"$PATH\"").await, Outcome::Pass);
        let failed = Fault::Command("ended with exit status: 3".to_owned(), "broken".to_owned());
        assert_eq!(
            command("echo $WORD >&2; exit 3").await,
            Outcome::Fail(failed)
        );
        let late = Fault::Command(
            "did not end in time, and was killed".to_owned(),
            String::new(),
        );
        assert_eq!(command("sleep 60 & wait").await, Outcome::Fail(late));
    }
}
