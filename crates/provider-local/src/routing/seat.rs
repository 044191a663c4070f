//! What the router's process holds: the instances that it knows, and what is counted of them.
//!
//! Invariant: an instance that a table does not list gets no further request once the table is in
//! place; it is known for as long as it has requests in flight.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use domain::{observation::InstanceId, time::UnixMs};
use router::{Backend, Route, Router, SliceRoute, Sticky, pass::PassKey};

use super::{
    counted::Counted,
    mirrors::Mirrors,
    wire::{InstanceReading, Reading, Table},
};
use crate::clock::now;

/// The router and what it needs from table to table.
#[derive(Debug)]
pub(super) struct Seat {
    router: Router,
    version: u64,
    table: Table,
    instances: BTreeMap<InstanceId, Arc<Backend>>,
    /// Those that no table lists any more, and that still have requests in flight.
    leaving: Vec<Arc<Backend>>,
    counted: Counted,
    mirrors: Mirrors,
    /// What the router before counted, as far as it is not in `counted`.
    before: Reading,
    pub(super) absorbed: bool,
    /// What was counted until this router began to leave.
    left: Option<Reading>,
}

impl Seat {
    pub(super) fn new(router: Router, now: UnixMs) -> Self {
        Self {
            router,
            version: 0,
            table: Table::default(),
            instances: BTreeMap::new(),
            leaving: Vec::new(),
            counted: Counted::new(now),
            mirrors: Mirrors::default(),
            before: Reading::default(),
            absorbed: false,
            left: None,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn connections(&self) -> usize {
        self.router.connections()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.left.is_some()
    }

    /// Goes on counting where the router before stopped.
    pub(super) fn absorb(&mut self, counted: Reading, last: bool, now: UnixMs) {
        if !last {
            if self.absorbed {
                return;
            }
            self.absorbed = true;
            self.counted.continue_from(counted.epoch);
            self.mirrors.continue_from(&counted.mirrored);
        }
        let Reading {
            slices,
            refused,
            ignored_passes,
            instances,
            ..
        } = counted;
        for slice in slices {
            self.counted.absorb(slice, now);
        }
        self.before.add(Reading {
            refused,
            ignored_passes,
            // What they answer is answered by the router before.
            instances: instances
                .into_iter()
                .map(|(id, seen)| {
                    let in_flight = 0;
                    (id, InstanceReading { in_flight, ..seen })
                })
                .collect(),
            ..Reading::default()
        });
    }

    /// Routes by `table`, unless it is older than the one before.
    pub(super) fn publish(&mut self, version: u64, table: Table, key: &PassKey) {
        if version <= self.version {
            return;
        }
        self.version = version;
        let now = now();
        self.counted.follow(&table);
        self.mirrors.follow(&table, now);
        let before = std::mem::take(&mut self.instances);
        let mut hosts = HashMap::new();
        for (place, host) in &table.hosts {
            let mut slices = Vec::new();
            for of in &host.slices {
                let listed = of.instances.iter().map(|at| {
                    let backend = before.get(&at.id).map(Arc::clone);
                    let backend = backend.unwrap_or_else(|| {
                        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, at.port));
                        let (counters, users) = self.counted.of(place, of.slice, &at.version);
                        Backend::counted(at.id.clone(), address, counters, users)
                    });
                    self.instances.insert(at.id.clone(), Arc::clone(&backend));
                    backend
                });
                slices.push(SliceRoute {
                    slice: of.slice,
                    weight: of.weight,
                    backends: listed.collect(),
                });
            }
            let sticky = host.sticky.as_ref();
            let route = Route {
                slices,
                mirror: self.mirrors.of(place).cloned(),
                sticky: sticky.and_then(|by| Sticky::new(place, by, key)),
                ignore_paths: host.ignore_paths.clone(),
            };
            hosts.insert(place.clone(), route);
        }
        for (id, backend) in before {
            if !self.instances.contains_key(&id) {
                backend.start_draining();
                self.leaving.push(backend);
            }
        }
        self.router.publish(router::Table { hosts });
        self.table = table;
        self.tidy();
    }

    /// Forgets what is gone.
    pub(super) fn tidy(&mut self) {
        let before = &mut self.before.instances;
        self.leaving.retain(|backend| {
            let busy = backend.in_flight() > 0;
            if !busy {
                let counts = backend.counts();
                let past = &mut before.entry(backend.id().clone()).or_default().counts;
                past.requests += counts.requests;
                past.errors += counts.errors;
            }
            busy
        });
        let (listed, leaving) = (&self.instances, &self.leaving);
        before.retain(|id, _| listed.contains_key(id) || leaving.iter().any(|it| it.id() == id));
        self.counted.settle(&self.table, now());
    }

    /// Requests in flight at an instance.
    pub(super) fn in_flight(&self, id: &InstanceId) -> usize {
        let listed = self.instances.get(id).into_iter();
        let leaving = self.leaving.iter().filter(|backend| backend.id() == id);
        listed.chain(leaving).map(|it| it.in_flight()).sum()
    }

    /// What was counted of one place, or of all; since it began to leave, if it did.
    pub(super) fn read(&self, place: Option<&str>) -> Reading {
        let mut reading = self.read_all();
        if let Some(left) = &self.left {
            reading = reading.since(left);
        }
        if let Some(place) = place {
            reading.slices.retain(|slice| slice.place == place);
            reading.mirrored.retain(|of, _| of == place);
            let listed = self.table.hosts.get(place).into_iter();
            let listed = listed.flat_map(|host| &host.slices);
            let listed: BTreeSet<&InstanceId> = listed
                .flat_map(|of| of.instances.iter().map(|at| &at.id))
                .chain(self.leaving.iter().map(|backend| backend.id()))
                .collect();
            reading.instances.retain(|id, _| listed.contains(id));
        }
        reading
    }

    fn read_all(&self) -> Reading {
        let mut reading = self.before.clone();
        reading.epoch = self.counted.epoch();
        reading.slices = self.counted.read();
        reading.mirrored = self.mirrors.read();
        for (status, n) in self.router.refused() {
            *reading.refused.entry(status).or_default() += n;
        }
        for (reason, n) in self.router.ignored_passes() {
            *reading.ignored_passes.entry(reason.to_owned()).or_default() += n;
        }
        for backend in self.instances.values().chain(&self.leaving) {
            let own = reading.instances.entry(backend.id().clone()).or_default();
            let counts = backend.counts();
            own.counts.requests += counts.requests;
            own.counts.errors += counts.errors;
            own.in_flight += backend.in_flight();
        }
        reading
    }

    /// Takes no new connection from now on. Returns what was counted until then.
    pub(super) fn leave(&mut self) -> Reading {
        if let Some(left) = &self.left {
            return left.clone();
        }
        self.router.leave();
        let left = self.read_all();
        self.left = Some(left.clone());
        left
    }

    /// The router, to be shut down.
    pub(super) fn into_router(self) -> Router {
        self.router
    }
}
