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
    group::{Group, Refusal},
    routing::{
        link::Link,
        wire::{Host, InstanceAt, SliceOf, Table},
    },
    users::{Apart, UserIds},
};

/// The running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) folder: PathBuf,
    pub(super) artifacts: Artifacts,
    /// Whether instances run as users of their own.
    pub(super) apart: Apart,
    /// The user ids that it was told to use.
    pub(super) user_ids: Option<UserIds>,
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
    /// What the cloud itself lacks now, and why.
    strains: BTreeMap<Strain, String>,
}

/// Something that the cloud itself lacks, so that it cannot do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strain {
    /// The state cannot be saved: nothing is accepted and nothing is started.
    Unsaved,
    /// No port is free for another instance.
    NoPort,
    /// No user is free for another server group.
    NoUser,
    /// Instances cannot be checked; they keep their last state.
    Unchecked,
}

impl Strain {
    fn sentence(self, why: &str) -> String {
        match self {
            Self::Unsaved => format!(
                "the one-machine cloud cannot save its state ({why}); it starts nothing until it can"
            ),
            Self::NoPort | Self::NoUser => format!("no instance can be started: {why}"),
            Self::Unchecked => {
                format!("instances cannot be checked now ({why}), and keep their last state")
            }
        }
    }
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

    /// Changes the groups, saves them, publishes the table, and wakes the supervisor. A change that
    /// cannot be saved now is saved as soon as that is possible.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = {
            let mut world = self.world();
            let result = change(&mut world);
            self.settle(&mut world);
            result
        };
        self.changed.notify_one();
        result
    }

    /// Changes one group as somebody asked, if that can be saved, and returns the instance to end.
    ///
    /// # Errors
    /// When the request is refused or cannot be saved; nothing is changed then.
    pub(super) fn accept(
        &self,
        name: &str,
        change: impl FnOnce(&mut World) -> Result<Option<InstanceId>, Refusal>,
    ) -> Result<(), Refusal> {
        let mut world = self.world();
        let before = world.saved.groups.get(name).cloned();
        let accepted = change(&mut world).and_then(|ended| {
            let saved = self.save(&mut world);
            saved.map(|()| ended).map_err(Refusal::NotSaved)
        });
        match &accepted {
            Ok(Some(ended)) => world.drain(ended),
            Ok(None) => {}
            Err(_) => world.saved.put_back(name, before),
        }
        self.publish(&world);
        drop(world);
        self.changed.notify_one();
        accepted.map(drop)
    }

    /// Saves the groups and publishes the table. If the disk fails, says so and goes on; whoever
    /// calls tries again. Returns whether it is saved.
    pub(super) fn settle(&self, world: &mut World) -> bool {
        let saved = self.save(world).is_ok();
        self.publish(world);
        saved
    }

    fn save(&self, world: &mut World) -> Result<(), String> {
        let saved = world
            .saved
            .store(&self.folder)
            .map_err(|error| error.to_string());
        world.strain(Strain::Unsaved, saved.clone().err());
        saved
    }

    fn publish(&self, world: &World) {
        self.router.publish(world.table());
    }

    /// Removes the folders of releases that no instance uses any more, in the background.
    pub(super) fn prune(&self) {
        let world = self.world();
        let folders = world.saved.members();
        let in_use = folders
            .filter_map(|(.., member)| member.folder.clone())
            .collect();
        let artifacts = self.artifacts.clone();
        tokio::task::spawn_blocking(move || artifacts.prune(&in_use));
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
    /// The world of this run, over what was saved.
    pub(super) fn new(saved: Saved) -> Self {
        Self {
            saved,
            live: BTreeMap::new(),
            strains: BTreeMap::new(),
        }
    }

    /// Notes that something is lacking, or (`None`) not any more.
    pub(super) fn strain(&mut self, strain: Strain, why: Option<String>) {
        let before = self.strains.get(&strain);
        if before == why.as_ref() {
            return;
        }
        if let Some(why) = why {
            tracing::error!("{}", strain.sentence(&why));
            self.strains.insert(strain, why);
        } else {
            tracing::info!(?strain, "this is over");
            self.strains.remove(&strain);
        }
    }

    /// Whether something is lacking.
    pub(super) fn is_strained(&self, strain: Strain) -> bool {
        self.strains.contains_key(&strain)
    }

    /// What is wrong with a slice: what the cloud lacks, and what its instances say.
    pub(super) fn trouble(&self, of_slice: Option<String>) -> Option<String> {
        let lacking = self
            .strains
            .iter()
            .map(|(strain, why)| strain.sentence(why));
        let all: Vec<String> = lacking.chain(of_slice).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Drains one instance: it gets no new request from now on, and its task stops it.
    pub(super) fn drain(&mut self, id: &InstanceId) {
        if let Some(slot) = self.saved.slot_of(id) {
            for member in slot.members.iter_mut().filter(|member| member.id == *id) {
                member.state = InstanceState::Draining;
            }
            slot.leaves();
        }
        if let Some(live) = self.live.get(id) {
            live.stop.notify_one();
        }
    }

    /// The router's table: the instances of every group that serve, with its weights.
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
                .serving()
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
            ignore_paths: group.settings.ignore_paths.clone(),
            slices: slices.collect(),
        }
    }
}
