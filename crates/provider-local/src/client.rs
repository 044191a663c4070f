//! The control plane's side of the control socket: the engine's two verbs, and a few more for
//! people.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use domain::{
    effect::{Effect, Target, Token},
    names::Place,
    observation::Observation,
    release::Digest,
    slice::Slice,
};
use engine::ports::{ErrorKind, Provider, ProviderError};
use futures_util::{Stream, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, sync::oneshot};
use tokio_util::io::ReaderStream;

use crate::{
    daemon::OWN_LOG,
    users::{self, UserIds},
    wire::{
        ApplyRequest, LogsQuery, ObserveRequest, Pass, PassRequest, Problem, ReserveRequest,
        SOCKET, ShutdownRequest, Status,
    },
};

/// How long the daemon may take to answer. Far below the engine's lease.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to store an artifact.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Largest answer that is kept in memory, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a daemon may take to start.
const START: Duration = Duration::from_secs(15);
/// Between two looks whether a daemon that was started answers or has ended.
const START_LOOK: Duration = Duration::from_millis(25);
/// Pause before a daemon that ended at once is started again.
const START_REST: Duration = Duration::from_millis(250);
/// What the daemon inherits of the environment: instances get most of it.
const INHERITED: [&str; 10] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "RUST_LOG",
    "RUST_BACKTRACE",
];

type Body = Either<
    Full<Bytes>,
    StreamBody<std::pin::Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>>,
>;

/// The one-machine cloud, as the control plane reaches it.
#[derive(Debug, Clone)]
pub struct LocalCloud {
    socket: PathBuf,
    artifacts: PathBuf,
}

impl LocalCloud {
    /// The cloud of a state folder. Artifacts that it lacks are sent from `artifacts`, where each
    /// is a file named by its digest.
    #[must_use]
    pub fn new(state: &Path, artifacts: PathBuf) -> Self {
        Self {
            socket: state.join(SOCKET),
            artifacts,
        }
    }

    /// The daemon's status.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn status(&self) -> Result<Status, ProviderError> {
        let answer = self.ask(Method::GET, "/v1/status", empty()).await?;
        read(answer).await
    }

    /// Asks the daemon to end; with `stop_instances`, once all instances have stopped.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn shut_down(&self, stop_instances: bool) -> Result<(), ProviderError> {
        let body = json(&ShutdownRequest { stop_instances })?;
        self.ask(Method::POST, "/v1/shutdown", body).await.map(drop)
    }

    /// Names ports of the control plane, which no instance gets from now on.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn reserve(&self, ports: Vec<u16>) -> Result<(), ProviderError> {
        let body = json(&ReserveRequest { ports })?;
        self.ask(Method::POST, "/v1/reserved", body).await.map(drop)
    }

    /// Waits a while until the daemon with this status has ended.
    pub(crate) async fn until_ended(&self, status: &Status) {
        let process = PathBuf::from(format!("/proc/{}", status.pid));
        let ended = async {
            while process.exists() && self.status().await.is_ok_and(|it| it.pid == status.pid) {
                tokio::time::sleep(START_LOOK).await;
            }
        };
        // One that does not end is what the next start finds.
        let _ = tokio::time::timeout(START, ended).await;
    }

    /// A pass that lets a tester's requests into one slice of a place, whatever its weight, for at
    /// most [`router::pass::SECONDS_MAX`] seconds.
    ///
    /// # Errors
    /// When the daemon does not answer, nothing was ever deployed there, or the time is too long.
    pub async fn pass(
        &self,
        place: &Place,
        slice: Slice,
        seconds: u32,
    ) -> Result<Pass, ProviderError> {
        let place = place.clone();
        let body = json(&PassRequest {
            place,
            slice,
            seconds,
        })?;
        read(self.ask(Method::POST, "/v1/passes", body).await?).await
    }

    /// The logs of a place, as they are written.
    ///
    /// # Errors
    /// When the daemon does not answer, or nothing was ever deployed there.
    pub async fn logs(
        &self,
        query: &LogsQuery,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, ProviderError> {
        let Place {
            service,
            environment,
        } = &query.place;
        let (lines, follow) = (query.lines, query.follow);
        let mut path = format!(
            "/v1/logs?service={service}&environment={environment}&lines={lines}&follow={follow}"
        );
        if let Some(instance) = &query.instance {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            path.push_str("&instance=");
            path.extend(instance.0.chars().filter(|c| plain(*c)));
        }
        let answer = self.ask(Method::GET, &path, empty()).await?;
        let frames = BodyStream::new(answer.into_body());
        Ok(frames.filter_map(|frame| async move {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(io::Error::other(error))),
            }
        }))
    }

    /// Makes sure that the daemon has this artifact.
    async fn bring(&self, digest: &Digest) -> Result<(), ProviderError> {
        let path = format!("/v1/artifacts/{digest}");
        match self.ask(Method::GET, &path, empty()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == ErrorKind::Missing => {}
            Err(error) => return Err(error),
        }
        let from = self.artifacts.join(digest.as_str());
        let file = tokio::fs::File::open(&from).await.map_err(|error| {
            let text = format!("the artifact {} cannot be read: {error}", from.display());
            ProviderError::new(ErrorKind::Missing, text)
        })?;
        let frames = ReaderStream::new(file).map(|chunk| chunk.map(Frame::data));
        let body = Either::Right(StreamBody::new(Box::pin(frames) as _));
        let upload = self.send(Method::PUT, &path, body);
        tokio::time::timeout(UPLOAD_TIMEOUT, upload)
            .await
            .map_err(|_| late())??;
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, ProviderError> {
        tokio::time::timeout(TIMEOUT, self.send(method, path, body))
            .await
            .map_err(|_| late())?
    }

    /// One request on a connection of its own. A refusal becomes an error.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, ProviderError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            let text = format!(
                "the one-machine cloud does not answer at {}: {error}; start it with `pointsman local`",
                self.socket.display()
            );
            ProviderError::new(ErrorKind::Unavailable, text)
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| unavailable(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| unavailable(&e))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "local")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|error| ProviderError::new(ErrorKind::Invalid, error.to_string()))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|e| unavailable(&e))?;
        let kind = match answer.status() {
            status if status.is_success() => return Ok(answer),
            StatusCode::NOT_FOUND => ErrorKind::Missing,
            StatusCode::CONFLICT => ErrorKind::Superseded,
            StatusCode::INSUFFICIENT_STORAGE => ErrorKind::Unavailable,
            status if status.is_client_error() => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let status = answer.status();
        let problem: Result<Problem, _> = read(answer).await;
        let message = problem.map_or_else(|_| format!("it answered {status}"), |p| p.message);
        Err(ProviderError::new(kind, message))
    }
}

impl Provider for LocalCloud {
    async fn observe(&self, target: &Target) -> Result<Observation, ProviderError> {
        let body = json(&ObserveRequest {
            place: target.place.clone(),
        })?;
        read(self.ask(Method::POST, "/v1/observe", body).await?).await
    }

    async fn apply(
        &self,
        target: &Target,
        effect: &Effect,
        token: &Token,
    ) -> Result<(), ProviderError> {
        if let Effect::SetLaunch {
            launch: Some(launch),
            ..
        } = effect
        {
            let digest = launch.content.digest().ok_or_else(|| {
                let message = format!(
                    "{} is no package: this machine starts packages only",
                    launch.content
                );
                ProviderError::new(ErrorKind::Invalid, message)
            })?;
            self.bring(digest).await?;
        }
        let (target, effect, token) = (target.clone(), effect.clone(), token.clone());
        let body = json(&ApplyRequest {
            target,
            effect,
            token,
        })?;
        self.ask(Method::POST, "/v1/apply", body).await.map(drop)
    }
}

fn empty() -> Body {
    Either::Left(Full::default())
}

fn json(value: &impl Serialize) -> Result<Body, ProviderError> {
    let bytes = serde_json::to_vec(value);
    let bytes = bytes.map_err(|e| ProviderError::new(ErrorKind::Invalid, e.to_string()))?;
    Ok(Either::Left(Full::from(bytes)))
}

async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ProviderError> {
    let strange = |text: String| {
        let text = format!("the one-machine cloud answered something unexpected: {text}");
        ProviderError::new(ErrorKind::Unavailable, text)
    };
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
    let bytes = tokio::time::timeout(TIMEOUT, body.collect())
        .await
        .map_err(|_| late())?;
    let bytes = bytes
        .map_err(|error| strange(error.to_string()))?
        .to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| strange(error.to_string()))
}

fn late() -> ProviderError {
    ProviderError::new(
        ErrorKind::Unavailable,
        "the one-machine cloud did not answer in time",
    )
}

/// How to start a daemon.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program that has the sub-command `local`.
    pub program: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The port of the router; `None` leaves the choice to the daemon.
    pub router_port: Option<u16>,
    /// The port of the metrics; `None` leaves the choice to the daemon.
    pub metrics_port: Option<u16>,
    /// The users of instances; `None`: that of the daemon.
    pub user_ids: Option<UserIds>,
}

/// Makes sure that the daemon of a state folder runs: if it does not answer, starts it, detached
/// from this process. Returns its status.
///
/// # Errors
/// When it does not answer in time; its log in the state folder says why.
pub async fn ensure_running(launcher: &Launcher) -> Result<Status, ProviderError> {
    let cloud = LocalCloud::new(&launcher.state, PathBuf::new());
    if let Ok(status) = cloud.status().await {
        return Ok(status);
    }
    let log = launcher.state.join(OWN_LOG);
    let started = || {
        start(launcher, &log).map_err(|error| {
            let text = format!(
                "cannot start the one-machine cloud in {}: {error}",
                launcher.state.display()
            );
            ProviderError::new(ErrorKind::Unavailable, text)
        })
    };
    let mut ended = started()?;
    let deadline = tokio::time::Instant::now() + START;
    while tokio::time::Instant::now() < deadline {
        if let Ok(status) = cloud.status().await {
            return Ok(status);
        }
        // A daemon that ends at once, such as one that finds the lock taken, is started again.
        if tokio::time::timeout(START_LOOK, &mut ended).await.is_ok() {
            tokio::time::sleep(START_REST).await;
            ended = started()?;
        }
    }
    let text = format!(
        "the one-machine cloud did not start; {} says why",
        log.display()
    );
    Err(ProviderError::new(ErrorKind::Unavailable, text))
}

/// Starts the daemon in a process group of its own, so that a Ctrl-C here does not reach it, and with
/// nothing of our environment that it does not need. What is returned says when it has ended.
fn start(launcher: &Launcher, log: &Path) -> io::Result<oneshot::Receiver<()>> {
    use std::os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&launcher.state)?;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)?;
    let mut command = std::process::Command::new(&launcher.program);
    command.arg0("pointsman");
    command.arg("local").arg("--state-dir").arg(&launcher.state);
    if let Some(port) = launcher.router_port {
        command.arg("--router-port").arg(port.to_string());
    }
    if let Some(port) = launcher.metrics_port {
        command.arg("--metrics-port").arg(port.to_string());
    }
    let users = launcher.user_ids;
    let users = users.map_or_else(|| users::OFF.to_owned(), |ids| ids.to_string());
    command.arg("--instance-users").arg(users);
    let output = log.try_clone()?;
    let inherited = INHERITED
        .iter()
        .filter_map(|key| Some((*key, std::env::var_os(key)?)));
    let command = command
        .env_clear()
        .envs(inherited)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(log)
        .process_group(0);
    let mut child = command.spawn()?;
    let (end, ended) = oneshot::channel();
    // Waits for it, so that it leaves no zombie if it ends before this process does.
    std::thread::Builder::new()
        .name("wait-local".to_owned())
        .spawn(move || {
            let _ = child.wait();
            let _ = end.send(());
        })?;
    Ok(ended)
}
