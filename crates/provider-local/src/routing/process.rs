//! The router's process: it gets the socket that users reach, and is steered by the daemon through a
//! socket in the state folder.
//!
//! Invariant: only its owner and root can steer it.

use std::{
    fs, io,
    net::TcpListener,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use router::{PassCheck, Router, RouterConfig, pass::PassKey};
use rustix::process::setsid;
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};

use super::{
    frames,
    seat::Seat,
    wire::{Ask, Hello},
};
use crate::{clock::now, descriptors, guard, key, program};

/// How long requests in flight may take when the system ends the process.
const GRACE: Duration = Duration::from_secs(5);
/// How long the daemon may take to ask.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Between two looks at what is gone.
const TIDY: Duration = Duration::from_secs(1);
/// Between two looks at requests in flight.
const LOOK: Duration = Duration::from_millis(10);
/// Pause after `accept` failed.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Why the router cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// Standard input is no socket to listen on.
    #[error(
        "the one-machine cloud starts this command by itself, with the socket that users reach: {0}; \
         run `pointsman local`"
    )]
    NoListener(#[source] io::Error),
    /// There is no key for passes and cookies.
    #[error(transparent)]
    Key(#[from] key::KeyError),
    /// The system refuses something that the router needs.
    #[error("the router cannot run: {0}")]
    Io(#[from] io::Error),
}

/// Where the router with this process id is steered.
pub(super) fn socket(folder: &Path, pid: i32) -> PathBuf {
    folder.join(format!("router.{pid}.sock"))
}

/// What the parts of the process share.
struct Shared {
    seat: Mutex<Option<Seat>>,
    listener: TcpListener,
    key: PassKey,
    build: String,
    /// How long requests in flight may take, once the process is to end.
    end: watch::Sender<Option<Duration>>,
}

/// Runs the router of a state folder until the daemon or the system ends it. Standard input is the
/// socket that users reach.
///
/// # Errors
/// It cannot start. Once it runs, it does not fail.
pub async fn run(state: &Path) -> Result<(), RouterError> {
    // The daemon may end, and whoever started it may close its terminal: this is neither's business.
    // The error is that it leads a session already.
    let _ = setsid();
    guard::shut()?;
    let limits = descriptors::limits(descriptors::raise()?);
    let listener = listener().map_err(RouterError::NoListener)?;
    let key = key::read(state)?;
    let check = PassCheck {
        key: key.clone(),
        clock: now,
    };
    let config = RouterConfig {
        limits,
        passes: Some(check),
        ..RouterConfig::default()
    };
    let router = Router::serve(&listener, config)?;
    let shared = Arc::new(Shared {
        seat: Mutex::new(Some(Seat::new(router, now()))),
        listener,
        key,
        build: program::build()?,
        end: watch::Sender::new(None),
    });
    let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    let path = socket(state, pid);
    // Left by an earlier process with the same number.
    let _ = fs::remove_file(&path);
    let control = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let grace = steered(&shared, &control).await?;
    let _ = fs::remove_file(&path);
    let seat = shared.seat.lock().take();
    if let Some(seat) = seat {
        seat.into_router().shutdown(grace).await;
    }
    Ok(())
}

/// The socket that came as standard input, which then is empty.
fn listener() -> io::Result<TcpListener> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let listener = TcpListener::from(socket);
    listener.local_addr()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(listener)
}

/// Answers the daemon until the process is to end. Returns how long requests in flight may take.
async fn steered(shared: &Arc<Shared>, control: &UnixListener) -> io::Result<Duration> {
    let mut end = shared.end.subscribe();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let mut tidy = interval(TIDY);
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(GRACE),
            _ = interrupt.recv() => return Ok(GRACE),
            _ = end.changed() => {
                let grace = *end.borrow_and_update();
                if let Some(grace) = grace {
                    return Ok(grace);
                }
            }
            _ = tidy.tick() => {
                if let Some(seat) = shared.seat.lock().as_mut() {
                    seat.tidy();
                }
            }
            accepted = control.accept() => match accepted {
                Ok((stream, _)) => drop(tokio::spawn(answer(Arc::clone(shared), stream))),
                Err(error) => {
                    tracing::warn!(%error, "the router's control socket cannot accept");
                    sleep(ACCEPT_REST).await;
                }
            },
        }
    }
}

async fn answer(shared: Arc<Shared>, mut stream: UnixStream) {
    let owner = rustix::process::getuid().as_raw();
    let peer = stream.peer_cred().map(|peer| peer.uid());
    if !matches!(peer, Ok(uid) if uid == owner || uid == 0) {
        tracing::warn!("somebody else tried to steer the router");
        return;
    }
    let answered = async {
        let ask = timeout(ASK_MAX, frames::read(&mut stream)).await??;
        shared.answer(&mut stream, ask).await
    };
    if let Err(error) = answered.await {
        // The daemon asks again, or ended.
        tracing::debug!(%error, "a question to the router got no answer");
    }
}

impl Shared {
    async fn answer(&self, stream: &mut UnixStream, ask: Ask) -> io::Result<()> {
        match ask {
            Ask::Hello => {
                let build = self.build.clone();
                let hello = self.with(|seat| Hello {
                    build,
                    version: seat.version(),
                    leaving: seat.is_leaving(),
                    absorbed: seat.absorbed,
                    connections: seat.connections(),
                })?;
                frames::write(stream, &hello).await
            }
            Ask::Listener => frames::send_socket(stream, &self.listener).await,
            Ask::Absorb { counted, last } => {
                self.with(|seat| seat.absorb(*counted, last, now()))?;
                frames::write(stream, &()).await
            }
            Ask::Publish { version, table } => {
                self.with(|seat| seat.publish(version, table, &self.key))?;
                frames::write(stream, &()).await
            }
            Ask::Idle { instance, wait_ms } => {
                let until = Instant::now() + Duration::from_millis(wait_ms);
                loop {
                    let in_flight = self.with(|seat| seat.in_flight(&instance))?;
                    if in_flight == 0 || Instant::now() >= until {
                        return frames::write(stream, &in_flight).await;
                    }
                    sleep(LOOK).await;
                }
            }
            Ask::Read { place } => {
                let reading = self.with(|seat| seat.read(place.as_deref()))?;
                frames::write(stream, &reading).await
            }
            Ask::Leave => {
                let left = self.with(Seat::leave)?;
                frames::write(stream, &left).await
            }
            Ask::End { grace_ms } => {
                frames::write(stream, &()).await?;
                self.end.send_replace(Some(Duration::from_millis(grace_ms)));
                Ok(())
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seat) -> T) -> io::Result<T> {
        let mut seat = self.seat.lock();
        let seat = seat.as_mut();
        seat.map(act)
            .ok_or_else(|| io::Error::other("the router ends"))
    }
}
