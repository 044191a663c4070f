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
use crate::{
    group::{Group, Member, Next, Slot},
    shortage,
};

/// The ports of instances: below the range that the kernel uses for outgoing connections.
pub(super) const PORTS: std::ops::Range<u16> = 20_000..32_000;
const FILE: &str = "state.json";
const ID_PREFIX: &str = "i-";
/// How many ports are drawn at random before all are tried.
const DRAWS: usize = 64;

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
    /// Ports of the control planes that use this cloud: no instance gets one, even while nobody
    /// listens there.
    #[serde(default)]
    pub(super) reserved: BTreeSet<u16>,
    next_instance: u64,
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

    /// Makes sure that these ids are not given out, whatever the file says: it may be older than
    /// they are, or gone.
    pub(super) fn pass_over(&mut self, used: impl Iterator<Item = String>) {
        let number = |id: String| id.strip_prefix(ID_PREFIX)?.parse::<u64>().ok();
        let last = used.filter_map(number).max().unwrap_or(0);
        self.next_instance = self.next_instance.max(last);
    }

    /// Gives one group the value that it had.
    pub(super) fn put_back(&mut self, name: &str, before: Option<Group>) {
        match before {
            Some(group) => self.groups.insert(name.to_owned(), group),
            None => self.groups.remove(name),
        };
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

    /// The slice that has this instance.
    pub(super) fn slot_of(&mut self, id: &InstanceId) -> Option<&mut Slot> {
        let slots = self
            .groups
            .values_mut()
            .flat_map(|group| group.slices.values_mut());
        let mut slots = slots.filter(|slot| slot.member(id).is_some());
        slots.next()
    }

    pub(super) fn member(&mut self, id: &InstanceId) -> Option<&mut Member> {
        let members = &mut self.slot_of(id)?.members;
        members.iter_mut().find(|member| member.id == *id)
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
        InstanceId(format!("{ID_PREFIX}{:05}", self.next_instance))
    }

    /// A port that is not in use, by an instance or anything else, and that nobody can foresee.
    ///
    /// # Errors
    /// When none is free, or it cannot be found out now.
    pub(super) fn free_port(&self) -> io::Result<u16> {
        let used: BTreeSet<u16> = self.members().map(|(_, _, member)| member.port).collect();
        let ours = [self.router_port, self.metrics_port];
        let may = |port: &u16| {
            !used.contains(port) && !ours.contains(port) && !self.reserved.contains(port)
        };
        let drawn: Result<Vec<u16>, _> = (0..DRAWS).map(|_| draw()).collect();
        for port in drawn?.into_iter().chain(PORTS).filter(may) {
            if is_free(port)? {
                return Ok(port);
            }
        }
        let (start, end) = (PORTS.start, PORTS.end);
        Err(io::Error::other(format!(
            "no port is free between {start} and {end}"
        )))
    }
}

/// A port of the range, at random.
fn draw() -> io::Result<u16> {
    let random = getrandom::u32().map_err(|error| io::Error::other(error.to_string()))?;
    let many = u32::from(PORTS.end - PORTS.start);
    // Less than `many`, which fits.
    let offset = u16::try_from(random % many).unwrap_or(0);
    Ok(PORTS.start + offset)
}

/// Whether this port of 127.0.0.1 is free.
fn is_free(port: u16) -> io::Result<bool> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(true),
        Err(error) if shortage::is_ours(&error) => Err(error),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_drawn_at_random_and_spare_those_of_others() {
        let listener = (PORTS.start..).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let taken = listener.as_ref().unwrap().local_addr().unwrap().port();
        let reserved = PORTS.filter(|port| port % 2 == 0).collect();
        let saved = Saved {
            reserved,
            router_port: PORTS.start + 1,
            ..Saved::default()
        };
        let ports: BTreeSet<u16> = (0..50).map(|_| saved.free_port().unwrap()).collect();
        assert!(ports.len() > 25, "nobody can foresee them: {ports:?}");
        let spared = |port: &u16| port % 2 == 1 && *port != saved.router_port && *port != taken;
        assert!(ports.iter().all(spared), "{ports:?}");
        let saved = Saved {
            reserved: PORTS.collect(),
            ..Saved::default()
        };
        let error = saved.free_port().unwrap_err().to_string();
        assert_eq!(error, "no port is free between 20000 and 32000");
    }

    #[test]
    fn ids_are_never_given_out_twice() {
        let mut saved = Saved::default();
        let used = ["i-00041", "i-00007", "other"].map(str::to_owned);
        saved.pass_over(used.into_iter());
        assert_eq!(saved.new_id().0, "i-00042");
        saved.pass_over(["i-00002".to_owned()].into_iter());
        assert_eq!(saved.new_id().0, "i-00043");
    }
}
