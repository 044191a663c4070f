//! Carries out what was asked for: the next step of every slice, again and again, until the daemon
//! is told to stop.

use std::{sync::Arc, time::Duration};

use domain::{
    observation::{InstanceId, InstanceState, Sizes},
    release::Launch,
    slice::Slice,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{
    instance,
    world::{Daemon, Stop, Strain, World},
};
use crate::{
    clock::now,
    family::Undertaker,
    group::{Member, Next, SLICE_SIZE_MAX},
    users::{self, Apart},
};

/// Pause between two looks for children of instances that ended.
const BURIALS: Duration = Duration::from_secs(2);

/// Carries out what was asked for, until the daemon is told to stop.
pub(super) async fn supervise(daemon: &Arc<Daemon>) {
    let mut stop = daemon.stop.subscribe();
    let mut terminate = Signals::new();
    let mut undertaker = Undertaker::default();
    let mut looked = Instant::now();
    loop {
        let sleep = reconcile(daemon);
        if looked.elapsed() > BURIALS {
            undertaker.look();
            looked = Instant::now();
        }
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
                empty_all_groups(daemon);
                if daemon.world().live.is_empty() {
                    return;
                }
            }
        }
    }
}

/// Takes every next step that need not wait, and returns how long there is nothing to do. New
/// instances are saved before they are started: one that nobody wrote down would be nobody's.
fn reconcile(daemon: &Arc<Daemon>) -> Duration {
    let mut sleep = Duration::from_secs(1);
    let now = now();
    let mut world = daemon.world();
    let may_start = !world.is_strained(Strain::Unsaved) || daemon.settle(&mut world);
    let mut changed = false;
    let mut begun = Vec::new();
    let places: Vec<(String, Slice)> = world.saved.slices().collect();
    for (place, slice) in places {
        // Bounded: every round starts or stops one instance of a bounded slice.
        for _ in 0..2 * SLICE_SIZE_MAX {
            match world.saved.next(&place, slice, now) {
                Next::Rest => break,
                Next::WaitUntil(at) => {
                    sleep = sleep.min(Duration::from_millis(at.since_ms(now).max(1)));
                    break;
                }
                Next::Stop(id) => world.drain(&id),
                Next::Start(launch, zone) => {
                    let start = (place.as_str(), slice);
                    let id = may_start.then(|| begin(daemon, &mut world, start, (&launch, zone)));
                    let Some(id) = id.flatten() else {
                        break;
                    };
                    begun.push((place.clone(), slice, id));
                }
            }
            changed = true;
        }
    }
    if changed && daemon.settle(&mut world) {
        for (place, slice, id) in begun {
            instance::spawn(daemon, &mut world, (&place, slice), id);
        }
    } else {
        for (place, slice, id) in begun {
            if let Some(slot) = world.saved.slot(&place, slice) {
                slot.members.retain(|member| member.id != id);
            }
        }
    }
    sleep
}

/// Records a new instance. `None` when that is not possible.
fn begin(
    daemon: &Daemon,
    world: &mut World,
    (place, slice): (&str, Slice),
    (launch, zone): (&Launch, String),
) -> Option<InstanceId> {
    let port = world.saved.free_port();
    world.strain(Strain::NoPort, port.as_ref().err().map(ToString::to_string));
    let port = port.ok()?;
    let user = give_user(daemon, world, place);
    world.strain(Strain::NoUser, user.as_ref().err().map(ToString::to_string));
    user.ok()?;
    let Some(digest) = launch.content.digest().cloned() else {
        tracing::error!(launch = %launch.id, "{} is no package", launch.content);
        return None;
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
        folder: None,
        answers: false,
    };
    world.saved.slot(place, slice)?.members.push(member);
    Some(id)
}

/// Makes sure that a group has a user of its own, where it may have one.
fn give_user(daemon: &Daemon, world: &mut World, place: &str) -> std::io::Result<()> {
    let Apart::Yes(ids) = daemon.apart else {
        return Ok(());
    };
    let given = world.saved.groups.values().filter_map(|group| group.user);
    let given = given.collect();
    let Some(group) = world.saved.groups.get_mut(place) else {
        return Ok(());
    };
    let user = match group.user {
        Some(user) => user,
        None => users::choose(ids, &daemon.folder, place, &given)?,
    };
    group.user = Some(user);
    users::make_home(&daemon.folder, place, user)
}

/// Sets the size of every group to 0.
fn empty_all_groups(daemon: &Daemon) {
    daemon.change(|world| {
        for group in world.saved.groups.values_mut() {
            for slot in group.slices.values_mut() {
                slot.sizes = Sizes::default();
                slot.members
                    .iter_mut()
                    .for_each(|member| member.protected = false);
            }
        }
    });
}

/// The signals that end the daemon. A closed terminal is not one of them.
struct Signals(Vec<Signal>);

impl Signals {
    fn new() -> Self {
        // A signal without a listener keeps its usual effect, which is to end the process.
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
