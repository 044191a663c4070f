//! What the daemon saves: all groups, after every change, in one file.
//!
//! Invariant: the file is replaced as a whole, so a crash leaves the old or the new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use domain::{observation::InstanceId, slice::Slice, time::UnixMs};
use serde::{Deserialize, Serialize};

use super::error::DaemonError;
use crate::group::{Group, Member, Next, Slot};

/// The ports of instances: below the range that the kernel uses for outgoing connections.
pub(super) const PORTS: std::ops::Range<u16> = 20_000..32_000;
const FILE: &str = "state.json";

/// Everything that survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Saved {
    /// The groups, by `service.environment`.
    pub(super) groups: BTreeMap<String, Group>,
    /// The port that the router had; 0 before the first start.
    pub(super) router_port: u16,
    /// The port that the metrics had; 0 before the first start.
    #[serde(default)]
    pub(super) metrics_port: u16,
    next_instance: u64,
    next_port: u16,
}

impl Saved {
    pub(super) fn load(folder: &Path) -> Result<Self, DaemonError> {
        let path = folder.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| DaemonError::State {
                path,
                why: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn store(&self, folder: &Path) -> io::Result<()> {
        let part = folder.join("state.json.part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(part, folder.join(FILE))
    }

    pub(super) fn slices(&self) -> impl Iterator<Item = (String, Slice)> {
        self.groups.iter().flat_map(|(place, group)| {
            group
                .slices
                .keys()
                .map(move |slice| (place.clone(), *slice))
        })
    }

    pub(super) fn next(&self, place: &str, slice: Slice, now: UnixMs) -> Next {
        let group = self.groups.get(place);
        let slot = group.and_then(|group| Some((group, group.slices.get(&slice)?)));
        slot.map_or(Next::Rest, |(group, slot)| {
            slot.next(&group.settings.zones, now)
        })
    }

    pub(super) fn slot(&mut self, place: &str, slice: Slice) -> Option<&mut Slot> {
        self.groups.get_mut(place)?.slices.get_mut(&slice)
    }

    pub(super) fn member(&mut self, id: &InstanceId) -> Option<&mut Member> {
        let slots = self
            .groups
            .values_mut()
            .flat_map(|group| group.slices.values_mut());
        slots
            .flat_map(|slot| &mut slot.members)
            .find(|member| member.id == *id)
    }

    /// Every member with its place and slice.
    pub(super) fn members(&self) -> impl Iterator<Item = (&String, Slice, &Member)> {
        self.groups.iter().flat_map(|(place, group)| {
            group.slices.iter().flat_map(move |(slice, slot)| {
                slot.members
                    .iter()
                    .map(move |member| (place, *slice, member))
            })
        })
    }

    /// An id that was never used in this state folder.
    pub(super) fn new_id(&mut self) -> InstanceId {
        self.next_instance += 1;
        InstanceId(format!("i-{:05}", self.next_instance))
    }

    /// A port that is not in use, by an instance or anything else. Goes through the range in a
    /// circle, so that a port rests for as long as possible before it is used again.
    pub(super) fn free_port(&mut self) -> Option<u16> {
        let used: BTreeSet<u16> = self.members().map(|(_, _, member)| member.port).collect();
        if self.next_port == 0 {
            // Daemons on the same machine begin at different ports.
            let offset = u16::try_from(std::process::id() % 8000).unwrap_or(0);
            self.next_port = PORTS.start + offset;
        }
        for _ in PORTS {
            self.next_port += 1;
            if !PORTS.contains(&self.next_port) {
                self.next_port = PORTS.start;
            }
            if !used.contains(&self.next_port) && is_free(self.next_port) {
                return Some(self.next_port);
            }
        }
        None
    }
}

/// Whether this port of 127.0.0.1 is free.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
