//! Carries out what was asked for: the next step of every slice, again and again, until the daemon
//! is told to stop.

use std::{sync::Arc, time::Duration};

use domain::{
    observation::{InstanceState, Sizes},
    release::Launch,
    slice::Slice,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    instance,
    saved::PORTS,
    world::{Daemon, Stop, World},
};
use crate::{
    clock::now,
    group::{Member, Next, SLICE_SIZE_MAX},
};

/// Carries out what was asked for, until the daemon is told to stop.
pub(super) async fn supervise(daemon: &Arc<Daemon>) {
    let mut stop = daemon.stop.subscribe();
    let mut terminate = Signals::new();
    loop {
        let sleep = reconcile(daemon);
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

/// Takes every next step that need not wait, and returns how long there is nothing to do.
fn reconcile(daemon: &Arc<Daemon>) -> Duration {
    let mut sleep = Duration::from_secs(1);
    let now = now();
    let mut world = daemon.world();
    let mut changed = false;
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
                    if !begin(daemon, &mut world, (&place, slice), (&launch, zone)) {
                        break;
                    }
                }
            }
            changed = true;
        }
    }
    if changed {
        daemon.settle(&world);
    }
    sleep
}

/// Records a new instance and starts its task. False when that is not possible.
fn begin(
    daemon: &Arc<Daemon>,
    world: &mut World,
    (place, slice): (&str, Slice),
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
    instance::spawn(daemon, world, (place, slice), id);
    true
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
