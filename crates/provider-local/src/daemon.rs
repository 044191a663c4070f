//! The one-machine cloud: a process of its own that keeps groups of real processes running behind
//! the router, and outlives the control plane.
//!
//! ```text
//! control socket --> groups (what was asked) --> supervisor (one task per instance) --> processes
//!                        |                            |
//!                        +----- saved on disk --------+----> routing table of the router
//! ```
//!
//! Invariants:
//! - what runs is written down before it is started, so that no process is ever orphaned;
//! - an instance is shown as healthy only once the router's table lists it;
//! - one daemon per state folder.

mod control;
mod counted;
mod health;
mod instance;
mod metrics;
mod mirrors;
mod saved;
mod scrape;
mod start;

use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domain::{
    observation::{InstanceId, InstanceState, Slice},
    release::Launch,
    time::UnixMs,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};

use self::{counted::Counted, instance::Ending, mirrors::Mirrors, saved::Saved};
use crate::{
    artifact::Artifacts,
    group::{Group, Member, Next},
    logs,
    pass::PassKey,
    router::{Backend, Route, Router, SliceRoute, Sticky, Table},
};

/// Where the daemon listens for the control plane, in its state folder.
pub const SOCKET: &str = "local.sock";
/// The port of the router, unless it is taken or another one is asked for.
pub const ROUTER_PORT: u16 = 8080;
/// The key of testers' passes, in its state folder.
const PASS_KEY: &str = "pass.key";
/// Ports of instances: below the range that the kernel takes for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How long requests in flight may take when the daemon itself stops.
const GRACE: Duration = Duration::from_secs(5);

/// How the daemon is set up.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// Where it keeps everything. Made with mode 0700.
    pub state: PathBuf,
    /// Port of the router on 127.0.0.1. `None`: the one of the last run, else 8080, else a free one.
    pub router_port: Option<u16>,
    /// Port of the metrics on 127.0.0.1. `None`: the one of the last run, else a free one.
    pub metrics_port: Option<u16>,
}

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Somebody has the state folder.
    #[error("another `pointsman local` already runs with {}; stop it first, or name another folder", .0.display())]
    AlreadyRuns(PathBuf),
    /// The state cannot be understood.
    #[error("{} cannot be understood: {why}; move it away to start with no instances (running ones are then left alone)", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The key of testers' passes is none.
    #[error("{} does not hold a key of {} bytes; remove it, and a new one is made (passes signed before are then ignored)", .0.display(), crate::pass::KEY_LEN)]
    PassKey(PathBuf),
    /// The router cannot listen.
    #[error(
        "the router cannot listen on 127.0.0.1:{port}: {source}; name another port with --router-port"
    )]
    Router {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The metrics cannot be offered.
    #[error(
        "the metrics cannot be offered on 127.0.0.1:{port}: {source}; name another port with --metrics-port"
    )]
    Metrics {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The disk or the socket.
    #[error("the one-machine cloud cannot use its folder: {0}")]
    Io(#[from] io::Error),
}

/// The running daemon, as its parts share it.
#[derive(Debug)]
struct Daemon {
    folder: PathBuf,
    artifacts: Artifacts,
    /// Gone once the daemon ends.
    router: Mutex<Option<Router>>,
    pass_key: PassKey,
    world: Mutex<World>,
    /// Says that something changed, so that the supervisor looks again.
    changed: Notify,
    stop: watch::Sender<Stop>,
}

/// Whether the daemon goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    /// The daemon ends and leaves its instances running.
    Daemon,
    /// Instances are stopped first.
    Everything,
}

/// What is saved, and what belongs to this run.
#[derive(Debug)]
struct World {
    saved: Saved,
    live: BTreeMap<InstanceId, Live>,
    mirrors: Mirrors,
    counted: Counted,
}

/// An instance that has a task.
#[derive(Debug)]
struct Live {
    backend: Arc<Backend>,
    /// Tells its task to drain and stop.
    stop: Arc<Notify>,
}

/// Runs the one-machine cloud until it is told to stop, by signal or through its socket.
///
/// # Errors
/// When it cannot start. Once it runs it goes on.
pub async fn run(config: DaemonConfig) -> Result<(), DaemonError> {
    start::prepare(&config.state)?;
    let _lock = start::lock(&config.state)?;
    let mut saved = Saved::load(&config.state)?;
    let pass_key = start::pass_key(&config.state)?;
    let router = start::router(config.router_port, saved.router_port, &pass_key).await?;
    let metrics = scrape::listen(config.metrics_port, saved.metrics_port).await?;
    let address = router.local_addr();
    saved.router_port = address.port();
    let mut mirrors = Mirrors::default();
    mirrors.follow(&saved.groups, now());
    saved.metrics_port = scrape::port(&metrics)?;
    let daemon = Arc::new(Daemon {
        artifacts: Artifacts::new(config.state.clone()),
        folder: config.state,
        router: Mutex::new(Some(router)),
        pass_key,
        world: Mutex::new(World {
            saved,
            live: BTreeMap::new(),
            mirrors,
            counted: Counted::new(now()),
        }),
        changed: Notify::new(),
        stop: watch::Sender::new(Stop::No),
    });
    instance::adopt_all(&daemon);
    let control = control::serve(&daemon)?;
    let scraping = scrape::serve(&daemon, metrics);
    let rotation = tokio::spawn(logs::rotate_for_ever(daemon.logs_folder()));
    tracing::info!(router = %address, "the one-machine cloud runs");
    supervise(&daemon).await;
    control.abort();
    scraping.abort();
    rotation.abort();
    // Nobody can ask any more; a socket that nobody answers would only mislead.
    let _ = fs::remove_file(daemon.folder.join(SOCKET));
    let router = daemon.router().take();
    if let Some(router) = router {
        router.shutdown(GRACE).await;
    }
    Ok(())
}

/// Brings about what was asked for, until the daemon is told to stop.
async fn supervise(daemon: &Arc<Daemon>) {
    let mut stop = daemon.stop.subscribe();
    let mut terminate = Signals::new();
    loop {
        let sleep = daemon.reconcile();
        tokio::select! {
            () = daemon.changed.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            () = terminate.received() => return,
            _ = stop.changed() => {}
        }
        match *stop.borrow_and_update() {
            Stop::No => {}
            Stop::Daemon => return,
            Stop::Everything => {
                daemon.empty_all_groups();
                if daemon.world().live.is_empty() {
                    return;
                }
            }
        }
    }
}

/// The signals that end the daemon. A closed terminal is not one of them.
struct Signals(Vec<tokio::signal::unix::Signal>);

impl Signals {
    fn new() -> Self {
        // A signal that cannot be listened to keeps its usual effect, which is to end the process.
        let _ = signal(SignalKind::hangup());
        let kinds = [SignalKind::terminate(), SignalKind::interrupt()];
        Self(
            kinds
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
        )
    }

    async fn received(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let waits = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        let _ = futures_util::future::select_all(waits.collect::<Vec<_>>()).await;
    }
}

impl Daemon {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn router(&self) -> MutexGuard<'_, Option<Router>> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn logs_folder(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Changes the groups, saves them, routes by them, and lets the supervisor look.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = {
            let mut world = self.world();
            let result = change(&mut world);
            let World { saved, mirrors, .. } = &mut *world;
            mirrors.follow(&saved.groups, now());
            self.settle(&world);
            result
        };
        self.changed.notify_one();
        result
    }

    /// Saves and publishes. A disk that fails is said and not hidden; what runs goes on.
    fn settle(&self, world: &World) {
        if let Err(error) = world.saved.store(&self.folder) {
            tracing::error!(%error, "the state cannot be saved; a restart now would lose the last change");
        }
        if let Some(router) = &*self.router() {
            router.publish(world.table());
        }
    }

    /// Takes every next step that needs no waiting, and says how long nothing will happen.
    fn reconcile(self: &Arc<Self>) -> Duration {
        let mut sleep = Duration::from_secs(1);
        let now = now();
        let mut world = self.world();
        let mut changed = false;
        let places: Vec<(String, Slice)> = world.saved.slices().collect();
        for (place, slice) in places {
            // Bounded: every round starts or stops one instance of a bounded slice.
            for _ in 0..2 * crate::group::SLICE_SIZE_MAX {
                match world.saved.next(&place, slice, now) {
                    Next::Rest => break,
                    Next::WaitUntil(at) => {
                        sleep = sleep.min(Duration::from_millis(at.since_ms(now).max(1)));
                        break;
                    }
                    Next::Stop(id) => world.drain(&id),
                    Next::Start(launch, zone) => {
                        if !self.begin(&mut world, &place, slice, (&launch, zone)) {
                            break;
                        }
                    }
                }
                changed = true;
            }
        }
        if changed {
            self.settle(&world);
        }
        let World { saved, counted, .. } = &mut *world;
        counted.settle(&saved.groups);
        sleep
    }

    /// Writes a new instance down and gives it a task. False when there is no port for it.
    fn begin(
        self: &Arc<Self>,
        world: &mut World,
        place: &str,
        slice: Slice,
        (launch, zone): (&Launch, String),
    ) -> bool {
        let Some(port) = world.saved.free_port() else {
            tracing::error!("no port is free between {} and {}", PORTS.start, PORTS.end);
            return false;
        };
        let Some(digest) = launch.content.digest().cloned() else {
            tracing::error!(launch = %launch.id, "{} is no package", launch.content);
            return false;
        };
        let id = world.saved.new_id();
        let member = Member {
            id: id.clone(),
            launch: launch.id.clone(),
            version: launch.version.clone(),
            digest,
            zone,
            state: InstanceState::Pending,
            protected: false,
            started_at: now(),
            port,
            process: None,
        };
        let Some(slot) = world.saved.slot(place, slice) else {
            return false;
        };
        slot.members.push(member);
        instance::spawn(self, world, (place, slice), id);
        true
    }

    /// Tells every group to keep nothing.
    fn empty_all_groups(&self) {
        self.change(|world| {
            for group in world.saved.groups.values_mut() {
                for slot in group.slices.values_mut() {
                    slot.sizes = domain::observation::Sizes::default();
                    slot.members
                        .iter_mut()
                        .for_each(|member| member.protected = false);
                }
            }
        });
    }

    /// The task of an instance ended: it is gone.
    fn forget(&self, place: &str, slice: Slice, id: &InstanceId, ending: Ending) {
        self.change(|world| {
            world.live.remove(id);
            let Some(slot) = world.saved.slot(place, slice) else {
                return;
            };
            let Some(index) = slot.members.iter().position(|member| member.id == *id) else {
                return;
            };
            let member = slot.members.remove(index);
            match ending {
                Ending::Early => slot.died_early(&member.launch, now()),
                Ending::Stopped => {}
            }
        });
    }
}

impl World {
    /// Drains one instance: it gets no new request from now on, and its task stops it.
    fn drain(&mut self, id: &InstanceId) {
        if let Some(member) = self.saved.member(id) {
            member.state = InstanceState::Draining;
        }
        if let Some(live) = self.live.get(id) {
            live.backend.start_draining();
            live.stop.notify_one();
        }
    }

    /// What the router routes by: the healthy instances of every group, by its weights.
    fn table(&self) -> Table {
        let route = |host: &str, group: &Group| Route {
            sticky: (group.settings.stickiness.as_ref()).and_then(|by| Sticky::new(host, by)),
            slices: group
                .slices
                .iter()
                .map(|(slice, slot)| SliceRoute {
                    slice: *slice,
                    weight: group.weights.share(*slice),
                    backends: slot
                        .members
                        .iter()
                        .filter(|member| member.state == InstanceState::Healthy)
                        .filter_map(|member| self.live.get(&member.id))
                        .map(|live| Arc::clone(&live.backend))
                        .collect(),
                })
                .collect(),
            mirror: self.mirrors.of(host).cloned(),
        };
        Table {
            hosts: self
                .saved
                .groups
                .iter()
                .map(|(host, group)| (host.clone(), route(host, group)))
                .collect(),
        }
    }
}

/// The clock of this machine.
#[must_use]
pub(crate) fn now() -> UnixMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMs(0).plus_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Whether nobody listens on this port of 127.0.0.1.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
