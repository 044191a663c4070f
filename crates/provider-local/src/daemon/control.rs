//! The control socket: the requests of the control plane, as JSON over HTTP on a Unix socket that
//! only its owner can use.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use domain::{
    observation::{InstanceId, Observation},
    release::Digest,
    time::UnixMs,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use router::pass::SECONDS_MAX;
use tokio::{
    net::{UnixListener, UnixStream, unix::SocketAddr},
    task::JoinHandle,
};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    traffic,
    world::{Daemon, Stop},
};
use crate::{
    artifact::ArtifactError,
    clock::now,
    group::{Group, Refusal},
    logs, program,
    wire::{
        ApplyRequest, LogsQuery, ObserveRequest, Pass, PassRequest, Problem, ReserveRequest,
        SOCKET, ShutdownRequest, Status,
    },
};

/// Pause between two looks whether the socket is still there.
const SOCKET_LOOK: Duration = Duration::from_secs(1);
/// Pause between two reads of a log that is followed.
const FOLLOW: Duration = Duration::from_millis(200);
/// Maximum number of past lines in an answer to a request for logs, per instance.
const LINES_MAX: usize = 10_000;
/// How long the router may take to have a new table.
const ROUTER_MAX: Duration = Duration::from_secs(5);
const NO_ROUTER: &str = "the router does not answer the one-machine cloud; it is started again when it \
                         has ended, and `router.log` in the state folder says more";
/// Largest request other than an artifact, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

type Shared = State<Arc<Daemon>>;

/// Listens, and answers until the returned task is aborted. Whoever takes the socket away, such as a
/// program that clears folders, gets it made again.
pub(super) fn serve(daemon: &Arc<Daemon>) -> io::Result<JoinHandle<()>> {
    let path = daemon.folder.join(SOCKET);
    let mut listener = listen(&path)?;
    let routes = routes(daemon);
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                answered = axum::serve(listener, routes.clone()) => {
                    if let Err(error) = answered {
                        tracing::error!(%error, "the control socket does not work any more");
                    }
                }
                () = vanished(&path) => tracing::warn!("the control socket is gone; making it again"),
            }
            listener = loop {
                match listen(&path) {
                    Ok(listener) => break listener,
                    Err(error) => tracing::warn!(%error, "cannot make the control socket"),
                }
                tokio::time::sleep(SOCKET_LOOK).await;
            };
        }
    }))
}

fn routes(daemon: &Arc<Daemon>) -> Router {
    Router::new()
        .route("/v1/observe", post(observe))
        .route("/v1/apply", post(apply))
        .route("/v1/reserved", post(reserve))
        .route(
            "/v1/artifacts/{digest}",
            put(store_artifact).get(has_artifact),
        )
        .route("/v1/logs", get(read_logs))
        .route("/v1/passes", post(sign_pass))
        .route("/v1/status", get(status))
        .route("/v1/shutdown", post(shutdown))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::clone(daemon))
}

fn listen(path: &std::path::Path) -> io::Result<OwnerOnly> {
    // Left by a run that was killed; the lock guarantees that it is not in use.
    if path.exists() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let owner = rustix::process::getuid().as_raw();
    Ok(OwnerOnly { listener, owner })
}

/// Waits until the socket at `path` is gone, or is another one than now.
async fn vanished(path: &std::path::Path) {
    let number = || fs::symlink_metadata(path).map(|it| it.ino());
    let first = number().ok();
    loop {
        tokio::time::sleep(SOCKET_LOOK).await;
        match number() {
            Ok(found) if Some(found) == first => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Accepts only connections of the owner and of root, whatever the mode of the file.
struct OwnerOnly {
    listener: UnixListener,
    owner: u32,
}

impl axum::serve::Listener for OwnerOnly {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == self.owner || peer.uid() == 0 => {
                        return (stream, address);
                    }
                    _ => tracing::warn!("somebody else tried to use the control socket"),
                },
                Err(error) => {
                    tracing::warn!(%error, "cannot accept; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn observe(State(daemon): Shared, Json(request): Json<ObserveRequest>) -> Response {
    let place = request.place.to_string();
    let found = {
        let world = daemon.world();
        let group = world.saved.groups.get(&place);
        group.map(|group| {
            let mut seen = group.look(now());
            for slice in seen.slices.values_mut() {
                slice.trouble = world.trouble(slice.trouble.take());
            }
            (seen, group.clone())
        })
    };
    let Some((mut seen, group)) = found else {
        return Json(Observation::default()).into_response();
    };
    // What is shown is so for users, too: the router has it in its table.
    if !daemon.router.is_placed(ROUTER_MAX).await {
        return problem(StatusCode::SERVICE_UNAVAILABLE, &NO_ROUTER);
    }
    match daemon.router.read(Some(&place)).await {
        Ok(reading) => {
            traffic::show(&reading, &place, &group, &mut seen);
            Json(seen).into_response()
        }
        Err(error) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("{NO_ROUTER}: {error}"),
        ),
    }
}

async fn apply(State(daemon): Shared, Json(request): Json<ApplyRequest>) -> Response {
    let ApplyRequest {
        target,
        effect,
        token,
    } = request;
    let name = target.place.to_string();
    let accepted = daemon.accept(&name, |world| {
        let groups = world.saved.groups.entry(name.clone());
        let group =
            groups.or_insert_with(|| Group::new(target.place.clone(), target.group.clone()));
        group.apply(&target.group, &effect, &token)
    });
    let status = match &accepted {
        Ok(()) if daemon.router.is_placed(ROUTER_MAX).await => {
            return StatusCode::NO_CONTENT.into_response();
        }
        Ok(()) => return problem(StatusCode::SERVICE_UNAVAILABLE, &NO_ROUTER),
        Err(Refusal::Superseded { .. }) => StatusCode::CONFLICT,
        Err(Refusal::Invalid(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        Err(Refusal::NotSaved(_)) => StatusCode::INSUFFICIENT_STORAGE,
    };
    accepted.map_or_else(
        |refusal| problem(status, &refusal),
        |()| status.into_response(),
    )
}

async fn reserve(State(daemon): Shared, Json(request): Json<ReserveRequest>) -> StatusCode {
    daemon.change(|world| world.saved.reserved.extend(request.ports));
    StatusCode::NO_CONTENT
}

async fn has_artifact(State(daemon): Shared, Path(digest): Path<Digest>) -> StatusCode {
    if daemon.artifacts.has(&digest) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn store_artifact(State(daemon): Shared, Path(digest): Path<Digest>, body: Body) -> Response {
    let artifacts = daemon.artifacts.clone();
    let content = body.into_data_stream().map_err(io::Error::other);
    let mut content = SyncIoBridge::new(Box::pin(StreamReader::new(content)));
    let stored = tokio::task::spawn_blocking(move || artifacts.store(&digest, &mut content)).await;
    match stored {
        Ok(Ok(())) => StatusCode::CREATED.into_response(),
        Ok(Err(error @ (ArtifactError::Digest { .. } | ArtifactError::Refused(_)))) => {
            problem(StatusCode::UNPROCESSABLE_ENTITY, &error)
        }
        Ok(Err(error @ ArtifactError::Io(_))) => problem(StatusCode::INSUFFICIENT_STORAGE, &error),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn status(State(daemon): Shared) -> Json<Status> {
    let world = daemon.world();
    Json(Status {
        pid: std::process::id(),
        // One that cannot be told is another one to everybody.
        build: program::build().unwrap_or_default(),
        router_port: world.saved.router_port,
        metrics_port: world.saved.metrics_port,
        instances: world.live.len(),
        user_ids: daemon.user_ids,
        apart: daemon.apart.clone(),
    })
}

async fn sign_pass(State(daemon): Shared, Json(request): Json<PassRequest>) -> Response {
    let PassRequest {
        place,
        slice,
        seconds,
    } = request;
    if !(1..=SECONDS_MAX).contains(&seconds) {
        let text = format!("a pass is good for 1 to {SECONDS_MAX} seconds, not for {seconds}");
        return problem(StatusCode::UNPROCESSABLE_ENTITY, &text);
    }
    let name = place.to_string();
    if !daemon.world().saved.groups.contains_key(&name) {
        return problem(StatusCode::NOT_FOUND, &nothing_at(&name));
    }
    // In whole seconds, as in the token.
    let end = now().plus_ms(u64::from(seconds) * 1000);
    let expires = UnixMs(end.0 - end.0 % 1000);
    let token = daemon.pass_key.sign(&name, slice, expires);
    tracing::info!(%place, %slice, seconds, "made a pass");
    Json(Pass { token, expires }).into_response()
}

fn nothing_at(place: &str) -> String {
    format!("nothing was ever deployed to {place} on this machine")
}

async fn shutdown(State(daemon): Shared, Json(request): Json<ShutdownRequest>) -> StatusCode {
    let stop = if request.stop_instances {
        Stop::Everything
    } else {
        Stop::Daemon
    };
    daemon.stop.send_replace(stop);
    StatusCode::ACCEPTED
}

/// The logs of a place: the last lines of each instance, then new lines for as long as the client
/// reads. Each line begins with the id of its instance.
async fn read_logs(State(daemon): Shared, Query(query): Query<LogsQuery>) -> Response {
    let place = query.place.to_string();
    if !daemon.world().saved.groups.contains_key(&place) {
        return problem(StatusCode::NOT_FOUND, &nothing_at(&place));
    }
    let followed = Followed {
        daemon,
        place,
        query,
        readers: Vec::new(),
    };
    let follow = followed.query.follow;
    let chunks = stream::unfold((followed, true), |(mut followed, first)| async move {
        if !first {
            tokio::time::sleep(FOLLOW).await;
        }
        let chunk = followed.read();
        Some((Ok::<Bytes, Infallible>(chunk), (followed, false)))
    });
    let chunks = chunks.take(if follow { usize::MAX } else { 1 });
    Body::from_stream(chunks.filter(|chunk| {
        let empty = chunk.as_ref().is_ok_and(Bytes::is_empty);
        async move { !empty }
    }))
    .into_response()
}

/// The logs of a place while a client reads them.
struct Followed {
    daemon: Arc<Daemon>,
    place: String,
    query: LogsQuery,
    readers: Vec<(InstanceId, logs::Reader)>,
}

impl Followed {
    fn read(&mut self) -> Bytes {
        self.find_new();
        let mut out = Vec::new();
        for (id, reader) in &mut self.readers {
            // A log that is gone has no new lines.
            let lines = reader.read().unwrap_or_default();
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                out.extend_from_slice(format!("{id} | ").as_bytes());
                out.extend_from_slice(line);
            }
        }
        out.into()
    }

    /// Adds a reader for each instance that is new since the last call.
    fn find_new(&mut self) {
        let world = self.daemon.world();
        let members = world
            .saved
            .members()
            .filter(|(place, ..)| **place == self.place);
        let wanted = |id: &InstanceId| self.query.instance.as_ref().is_none_or(|only| only == id);
        let ids: Vec<InstanceId> = members
            .map(|(_, _, member)| member.id.clone())
            .filter(wanted)
            .collect();
        drop(world);
        // One that is gone by now can still be asked for by name.
        let named = self.query.instance.clone().filter(|id| !ids.contains(id));
        for id in ids.into_iter().chain(named) {
            if self.readers.iter().all(|(known, _)| *known != id) {
                let lines = self.query.lines.min(LINES_MAX);
                let path = logs::file(&self.daemon.logs_folder(), &self.place, &id);
                self.readers.push((id, logs::Reader::tail(path, lines)));
            }
        }
    }
}

fn problem(status: StatusCode, message: &dyn std::fmt::Display) -> Response {
    (
        status,
        Json(Problem {
            message: message.to_string(),
        }),
    )
        .into_response()
}
