//! The daemon's side: keeps a router running, gives it each table, and asks it what it counted.
//!
//! Invariant: the socket that users reach is kept here, so a router that crashes is replaced on the
//! very same one.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use domain::observation::InstanceId;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{
    peer::Peer,
    wire::{Ask, Hello, Reading, Table},
};
use crate::program;

/// How long a router may take to start.
const START_MAX: Duration = Duration::from_secs(10);
/// Pause before a router that could not be started or steered is tried again.
const REST: Duration = Duration::from_millis(100);
/// Between two looks at routers that leave.
const LOOK: Duration = Duration::from_millis(500);
/// How long the connections of a router that leaves may go on.
const LEAVE_MAX: Duration = Duration::from_secs(300);
/// How long requests in flight may take when everything stops.
const GRACE_MS: u64 = 5000;
/// How long one question after requests in flight waits, in milliseconds.
const IDLE_WAIT_MS: u64 = 1000;
/// The way to the router of one state folder.
#[derive(Debug)]
pub(crate) struct Link {
    folder: PathBuf,
    listener: TcpListener,
    wanted: watch::Sender<Wanted>,
    /// The version of the table that every router has.
    placed: watch::Sender<u64>,
    routers: Mutex<Routers>,
    /// Held while counts move from one router to another, and while they are read.
    moving: tokio::sync::Mutex<()>,
}

/// What the router is to do.
#[derive(Debug, Clone)]
struct Wanted {
    version: u64,
    /// `None` until the first one is published.
    table: Option<Arc<Table>>,
}

/// The processes.
#[derive(Debug, Default)]
struct Routers {
    /// The one that accepts, and whether it is of our build.
    current: Option<(Arc<Peer>, bool)>,
    /// Those that end once their users have gone, and since when.
    leaving: Vec<(Arc<Peer>, Instant)>,
}

impl Link {
    /// Finds the router that runs already, else listens for a new one: on the port that was asked
    /// for, else on that of the last run (0 if there was none), else on `usual`, else on a free one.
    ///
    /// # Errors
    /// The port that was asked for, or that of the last run, cannot be used; or the folder.
    pub(crate) async fn open(
        folder: &Path,
        asked: Option<u16>,
        last: u16,
        usual: u16,
    ) -> Result<Self, (u16, io::Error)> {
        let port = asked.unwrap_or(last);
        let failed = |error| (port, error);
        let found = Peer::find(folder).await.map_err(failed)?;
        let version = found.iter().map(|(_, hello)| hello.version).max();
        let build = program::build().map_err(failed)?;
        let routers = adopt(found, &build).await;
        let kept = routers.listener().await;
        let fits = |listener: &TcpListener| {
            let at = listener.local_addr().map_or(0, |at| at.port());
            asked.is_none_or(|asked| asked == 0 || asked == at)
        };
        let listener = match kept.filter(fits) {
            Some(listener) => listener,
            None => listen(asked, last, usual).await?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            listener,
            wanted: watch::Sender::new(Wanted {
                version: version.unwrap_or(0),
                table: None,
            }),
            placed: watch::Sender::new(0),
            routers: Mutex::new(routers),
            moving: tokio::sync::Mutex::new(()),
        })
    }

    /// The port that users reach.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn port(&self) -> io::Result<u16> {
        self.listener.local_addr().map(|address| address.port())
    }

    /// Routes by `table`, as soon as a router has it.
    pub(crate) fn publish(&self, table: Table) {
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.table.as_deref() != Some(&table);
            if changed {
                wanted.version += 1;
                wanted.table = Some(Arc::new(table));
            }
            changed
        });
    }

    /// Waits until the router has the newest table that was published before this call, for at most
    /// `max`. False when it has not.
    pub(crate) async fn is_placed(&self, max: Duration) -> bool {
        let version = self.wanted.borrow().version;
        let mut placed = self.placed.subscribe();
        let placed = placed.wait_for(|placed| *placed >= version);
        timeout(max, placed).await.is_ok()
    }

    /// Waits until no request is in flight at an instance that the newest table does not list.
    pub(crate) async fn until_idle(&self, instance: &InstanceId) {
        while !self.is_placed(REST).await {}
        let ask = Ask::Idle {
            instance: instance.clone(),
            wait_ms: IDLE_WAIT_MS,
        };
        loop {
            let mut in_flight = 0_usize;
            for peer in self.peers() {
                match peer.ask::<usize>(&ask).await {
                    Ok(many) => in_flight += many,
                    // What a router that ended had in flight is gone.
                    Err(_) if peer.has_ended() => {}
                    Err(_) => in_flight += 1,
                }
            }
            if in_flight == 0 {
                return;
            }
            sleep(LOOK / 50).await;
        }
    }

    /// What the routers counted, of one place or of all.
    ///
    /// # Errors
    /// The router does not answer.
    pub(crate) async fn read(&self, place: Option<&str>) -> io::Result<Reading> {
        let ask = Ask::Read {
            place: place.map(str::to_owned),
        };
        let _still = self.moving.lock().await;
        let (current, leaving) = {
            let routers = self.routers.lock();
            let current = routers.current.as_ref();
            let current = current.map(|(peer, _)| Arc::clone(peer));
            (current, routers.leaving.clone())
        };
        let current = current.ok_or_else(|| io::Error::other("no router runs now"))?;
        let mut reading: Reading = current.ask(&ask).await?;
        for (peer, _) in leaving {
            match peer.ask(&ask).await {
                Ok(theirs) => reading.add(theirs),
                Err(_) if peer.has_ended() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(reading)
    }

    /// Keeps a router running that has the newest table, for as long as it is polled.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut wanted = self.wanted.subscribe();
        // An error would mean that this is gone.
        let _ = wanted.wait_for(|wanted| wanted.table.is_some()).await;
        loop {
            wanted.mark_unchanged();
            if let Err(error) = self.round().await {
                tracing::error!(%error, "the router cannot be started or steered; trying again");
                sleep(REST).await;
                continue;
            }
            let (current, leaving) = {
                let routers = self.routers.lock();
                let current = routers.current.as_ref();
                let current = current.map(|(peer, _)| Arc::clone(peer));
                (current, !routers.leaving.is_empty())
            };
            let ended = async {
                if let Some(peer) = current {
                    peer.ended().await;
                }
            };
            tokio::select! {
                _ = wanted.changed() => {}
                () = ended => {}
                () = sleep(LOOK), if leaving => {}
            }
        }
    }

    /// Ends every router, once its requests in flight are done.
    pub(crate) async fn stop(&self) {
        let peers = self.peers();
        let ask = Ask::End { grace_ms: GRACE_MS };
        for peer in &peers {
            // One that does not answer has ended, or is killed with everything else.
            let _ = peer.ask::<()>(&ask).await;
        }
        let all = async {
            for peer in &peers {
                peer.ended().await;
            }
        };
        let _ = timeout(2 * Duration::from_millis(GRACE_MS), all).await;
    }

    fn peers(&self) -> Vec<Arc<Peer>> {
        let routers = self.routers.lock();
        let current = routers.current.iter().map(|(peer, _)| peer);
        let leaving = routers.leaving.iter().map(|(peer, _)| peer);
        current.chain(leaving).map(Arc::clone).collect()
    }

    async fn round(&self) -> io::Result<()> {
        self.ensure().await?;
        self.place().await?;
        self.tend().await;
        Ok(())
    }

    /// Makes sure that a router of our build is there to accept.
    async fn ensure(&self) -> io::Result<()> {
        let current = self.routers.lock().current.clone();
        let old = match current {
            Some((peer, _)) if peer.has_ended() => {
                tracing::error!(pid = peer.pid, "the router has ended; starting another one");
                peer.clean_up();
                self.routers.lock().current = None;
                None
            }
            Some((_, true)) => return Ok(()),
            Some((peer, false)) => Some(peer),
            None => None,
        };
        let new = Arc::new(Peer::start(&self.folder, &self.listener)?);
        new.answers(START_MAX).await?;
        let _alone = self.moving.lock().await;
        {
            let mut routers = self.routers.lock();
            routers.current = Some((Arc::clone(&new), true));
            // From here on users wait in the queue of the socket, until the new one has its table.
            let old = old.iter().map(|old| (Arc::clone(old), Instant::now()));
            routers.leaving.extend(old);
        }
        if let Some(old) = old {
            inherit(&old, &new).await;
        }
        Ok(())
    }

    /// Gives every router the newest table.
    async fn place(&self) -> io::Result<()> {
        let wanted = self.wanted.borrow().clone();
        let Some(table) = wanted.table else {
            return Ok(());
        };
        let ask = Ask::Publish {
            version: wanted.version,
            table: Table::clone(&table),
        };
        for peer in self.peers() {
            match peer.ask::<()>(&ask).await {
                Err(error) if self.is_current(&peer) => return Err(error),
                // It has ended, or cannot be helped.
                Err(_) | Ok(()) => {}
            }
        }
        self.placed.send_replace(wanted.version);
        Ok(())
    }

    fn is_current(&self, peer: &Arc<Peer>) -> bool {
        let routers = self.routers.lock();
        let current = routers.current.as_ref();
        current.is_some_and(|(current, _)| Arc::ptr_eq(current, peer))
    }

    /// Ends the routers whose users have gone, and keeps what they counted.
    async fn tend(&self) {
        let leaving = self.routers.lock().leaving.clone();
        for (peer, since) in leaving {
            let gone = peer.has_ended();
            let done = match peer.ask::<Hello>(&Ask::Hello).await {
                Ok(hello) => hello.connections == 0 || since.elapsed() > LEAVE_MAX,
                Err(_) => false,
            };
            if !gone && !done {
                continue;
            }
            let _alone = self.moving.lock().await;
            if done && let Err(error) = self.bury(&peer).await {
                tracing::warn!(%error, "the last counts of a router are lost");
            }
            peer.clean_up();
            let mut routers = self.routers.lock();
            routers.leaving.retain(|(it, _)| !Arc::ptr_eq(it, &peer));
        }
    }

    /// Ends a router and gives its last counts to the current one.
    async fn bury(&self, peer: &Peer) -> io::Result<()> {
        let last: Reading = peer.ask(&Ask::Read { place: None }).await?;
        peer.ask::<()>(&Ask::End { grace_ms: 0 }).await?;
        let current = self.routers.lock().current.clone();
        let (current, _) = current.ok_or_else(|| io::Error::other("no router runs now"))?;
        let counted = Box::new(last);
        current
            .ask(&Ask::Absorb {
                counted,
                last: true,
            })
            .await
    }
}

impl Routers {
    /// The socket that users reach, from whichever router still has it.
    async fn listener(&self) -> Option<TcpListener> {
        let current = self.current.iter().map(|(peer, _)| peer);
        for peer in current.chain(self.leaving.iter().map(|(peer, _)| peer)) {
            match peer.listener().await {
                Ok(listener) => return Some(listener),
                Err(error) => tracing::warn!(%error, "a router does not hand over its socket"),
            }
        }
        None
    }
}

/// Sorts the routers that were found. Of those that do not leave, the one with the newest table is
/// the one that accepts; another one never had users.
async fn adopt(found: Vec<(Peer, Hello)>, build: &str) -> Routers {
    let mut routers = Routers::default();
    let (leaving, mut staying): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, hello)| hello.leaving);
    let leaving = leaving.into_iter().map(|(peer, _)| Arc::new(peer));
    routers.leaving = leaving.map(|peer| (peer, Instant::now())).collect();
    staying.sort_by_key(|(_, hello)| hello.version);
    let current = staying.pop();
    if let (Some((new, hello)), Some((old, _))) = (&current, routers.leaving.last())
        && !hello.absorbed
        && hello.version == 0
    {
        inherit(old, new).await;
    }
    routers.current = current.map(|(peer, hello)| (Arc::new(peer), hello.build == build));
    for (peer, _) in staying {
        // It ends by itself, or was gone already.
        let _ = peer.ask::<()>(&Ask::End { grace_ms: 0 }).await;
    }
    routers
}

/// Lets `old` leave, and gives what it counted to `new`.
async fn inherit(old: &Peer, new: &Peer) {
    let inherited = async {
        let counted = Box::new(old.ask::<Reading>(&Ask::Leave).await?);
        let last = false;
        new.ask::<()>(&Ask::Absorb { counted, last }).await
    };
    if let Err(error) = inherited.await {
        tracing::warn!(%error, "the counts of a router that leaves are lost");
    }
}

/// Listens for users. The last run may still be ending, so this waits a little for its port.
async fn listen(
    asked: Option<u16>,
    last: u16,
    usual: u16,
) -> Result<TcpListener, (u16, io::Error)> {
    let on = |port| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        router::listen(address).map_err(|error| (port, error))
    };
    match asked.or((last != 0).then_some(last)) {
        Some(0) => on(0),
        Some(port) => {
            for _ in 0..20 {
                if let Ok(listener) = on(port) {
                    return Ok(listener);
                }
                sleep(LOOK / 10).await;
            }
            on(port)
        }
        None => on(usual).or_else(|_| on(0)),
    }
}
