//! The state that the parts of the running daemon share: what was asked for, what runs, and the
//! table of the router.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use domain::{
    observation::{InstanceId, InstanceState},
    slice::Slice,
};
use parking_lot::{Mutex, MutexGuard};
use router::pass::PassKey;
use tokio::sync::{Notify, watch};

use super::saved::Saved;
use crate::{
    artifact::Artifacts,
    clock::now,
    group::Group,
    routing::{
        link::Link,
        wire::{Host, InstanceAt, SliceOf, Table},
    },
};

/// The running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) folder: PathBuf,
    pub(super) artifacts: Artifacts,
    pub(super) router: Arc<Link>,
    pub(super) pass_key: PassKey,
    pub(super) world: Mutex<World>,
    /// Wakes the supervisor after a change.
    pub(super) changed: Notify,
    pub(super) stop: watch::Sender<Stop>,
}

/// Whether the daemon is to stop, and what happens to its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    /// The daemon stops and leaves its instances running.
    Daemon,
    /// The instances stop first, then the daemon.
    Everything,
}

/// The state that is saved, and the state of this run.
#[derive(Debug)]
pub(super) struct World {
    pub(super) saved: Saved,
    pub(super) live: BTreeMap<InstanceId, Live>,
}

/// An instance that has a task.
#[derive(Debug)]
pub(super) struct Live {
    /// Tells its task to drain and stop.
    pub(super) stop: Arc<Notify>,
}

/// How the task of an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was stopped, or died after a long life.
    Stopped,
    /// It died young, or could not be started.
    Early,
}

impl Daemon {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    pub(super) fn logs_folder(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Changes the groups, saves them, publishes the table, and wakes the supervisor.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = {
            let mut world = self.world();
            let result = change(&mut world);
            self.settle(&world);
            result
        };
        self.changed.notify_one();
        result
    }

    /// Saves the groups and publishes the table. If the disk fails, logs an error and goes on.
    pub(super) fn settle(&self, world: &World) {
        if let Err(error) = world.saved.store(&self.folder) {
            tracing::error!(%error, "the state cannot be saved; a restart now would lose the last change");
        }
        self.router.publish(world.table());
    }

    /// Removes an instance whose task has ended.
    pub(super) fn forget(&self, place: &str, slice: Slice, id: &InstanceId, ending: Ending) {
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
    pub(super) fn drain(&mut self, id: &InstanceId) {
        if let Some(member) = self.saved.member(id) {
            member.state = InstanceState::Draining;
        }
        if let Some(live) = self.live.get(id) {
            live.stop.notify_one();
        }
    }

    /// The router's table: the healthy instances of every group, with its weights.
    fn table(&self) -> Table {
        let groups = self.saved.groups.iter();
        Table {
            hosts: groups
                .map(|(place, group)| (place.clone(), self.host(group)))
                .collect(),
        }
    }

    fn host(&self, group: &Group) -> Host {
        let slices = group.slices.iter().map(|(slice, slot)| SliceOf {
            slice: *slice,
            weight: group.weights.share(*slice),
            next: slot.launches.as_ref().map(|launch| launch.version.clone()),
            instances: slot
                .members
                .iter()
                .filter(|member| member.state == InstanceState::Healthy)
                .filter(|member| self.live.contains_key(&member.id))
                .map(|member| InstanceAt {
                    id: member.id.clone(),
                    version: member.version.clone(),
                    port: member.port,
                })
                .collect(),
        });
        Host {
            sticky: group.settings.stickiness.clone(),
            mirror: group.mirror.clone(),
            slices: slices.collect(),
        }
    }
}
