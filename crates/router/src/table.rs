//! Who serves which host name: the routing table, its instances, and the choice between them.
//!
//! Invariant: an instance that was told to drain and whose [`Backend::in_flight`] was then seen to
//! be 0 gets no further request. The count goes up *before* the draining mark is read, and the mark
//! is set *before* the count is read; both in one total order (`SeqCst`).
//! Invariant: over many points that are spread evenly every slice gets exactly its share of the
//! weights, and a point stays in the slice whose share grows.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use domain::observation::{InstanceId, Slice};

use crate::{counters::Counters, mirror::Mirroring, sticky::Sticky};

/// How many instances are compared for each request; groups larger than this are walked in turn.
const COMPARED_MAX: usize = 8;

/// Everything that is routed. The key of a host is `service.environment`, in lower case.
#[derive(Debug, Default)]
pub struct Table {
    /// Host name without `.localhost`, such as `shop.staging`, to its route.
    pub hosts: HashMap<String, Route>,
}

/// Where the users of one service in one environment go.
#[derive(Debug, Default)]
pub struct Route {
    /// The slices; those with weight 0 get nobody but testers with a pass. Sticky users are split in
    /// this order.
    pub slices: Vec<SliceRoute>,
    /// The dark traffic, if there is any.
    pub mirror: Option<Arc<Mirroring>>,
    /// What users are recognised by; `None` when each request is sent by chance.
    pub sticky: Option<Sticky>,
}

/// One slice of a route.
#[derive(Debug)]
pub struct SliceRoute {
    /// Which slice.
    pub slice: Slice,
    /// Its share, in percent.
    pub weight: u8,
    /// Its healthy instances.
    pub backends: Vec<Arc<Backend>>,
}

/// One instance as the router knows it. Keep one per instance and list it in table after table:
/// requests in flight and idle connections belong to it.
#[derive(Debug)]
pub struct Backend {
    id: InstanceId,
    address: SocketAddr,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// Shared by all instances of its release in its slice.
    counters: Arc<Counters>,
    /// The newest table that lists it.
    listed: AtomicU64,
}

impl Backend {
    /// An instance that listens at `address`, with counters of its own.
    #[must_use]
    pub fn new(id: InstanceId, address: SocketAddr) -> Arc<Self> {
        Self::counted(id, address, Arc::default())
    }

    /// An instance that listens at `address`, whose requests `counters` counts.
    #[must_use]
    pub fn counted(id: InstanceId, address: SocketAddr, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            id,
            address,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            counters,
            listed: AtomicU64::new(0),
        })
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> &InstanceId {
        &self.id
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What counts its requests.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Requests that it is answering now, in all threads. One ends with the last byte of its answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// From now on it gets no new request. There is no way back: a returning instance is a new
    /// `Backend`. Once [`Self::in_flight`] was 0 after this call, it never serves again.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether it was told to drain.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Counts one request in, unless it drains.
    pub(crate) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let lease = Lease::count(Arc::clone(self));
        // Read after counting: whoever waits for 0 either sees this request or has already set the
        // mark. Dropping the lease takes the count back.
        (!self.is_draining()).then_some(lease)
    }

    pub(crate) fn mark_listed(&self, generation: u64) {
        self.listed.store(generation, Ordering::Relaxed);
    }

    /// May keep idle connections: it does not drain and the table of `generation` lists it.
    pub(crate) fn keeps_idle(&self, generation: u64) -> bool {
        !self.is_draining() && self.listed.load(Ordering::Relaxed) >= generation
    }
}

/// One request in flight. Dropping it counts the request out.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Backend>);

impl Lease {
    fn count(backend: Arc<Backend>) -> Self {
        backend.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(backend)
    }

    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a look at a route gave.
#[derive(Debug)]
pub(crate) enum Pick<'a> {
    /// This instance.
    Backend(&'a Arc<Backend>),
    /// There are instances, and all of them drain: a newer table must be on its way.
    Draining,
    /// There is nobody.
    Nobody,
}

impl Route {
    /// Chooses an instance that was not `tried`: the slice by weight, as the one that `point`, a part
    /// of 2^64, lies in; the instance by the fewest requests in flight, starting to look at place
    /// `turn`.
    pub(crate) fn pick(&self, point: u64, turn: usize, tried: &[Arc<Backend>]) -> Pick<'_> {
        let usable = |backend: &Arc<Backend>| {
            !backend.is_draining() && !tried.iter().any(|other| Arc::ptr_eq(other, backend))
        };
        let weight = |slice: &SliceRoute| match slice.backends.iter().any(usable) {
            true => u64::from(slice.weight),
            false => 0,
        };
        let total = self.slices.iter().map(weight).sum();
        let mut point = scale(point, total);
        for slice in &self.slices {
            let share = weight(slice);
            if point < share {
                // A backend may have begun to drain since it was weighed; then look again.
                return match least_loaded(&slice.backends, turn, usable) {
                    Some(backend) => Pick::Backend(backend),
                    None => Pick::Draining,
                };
            }
            point -= share;
        }
        let weighted = self.slices.iter().filter(|slice| slice.weight > 0);
        match weighted
            .flat_map(|slice| &slice.backends)
            .any(|backend| backend.is_draining())
        {
            true => Pick::Draining,
            false => Pick::Nobody,
        }
    }

    /// The instance of `slice` with the fewest requests in flight, whatever the slice's weight is.
    pub(crate) fn pick_in(&self, slice: Slice, turn: usize) -> Option<&Arc<Backend>> {
        let slice = self.slices.iter().find(|route| route.slice == slice)?;
        least_loaded(&slice.backends, turn, |backend| !backend.is_draining())
    }

    /// Chooses an instance of one slice, whatever its weight. `None` when the slice has no instance
    /// that could be asked.
    pub(crate) fn pick_of(
        &self,
        slice: Slice,
        turn: usize,
        tried: &[Arc<Backend>],
    ) -> Option<Pick<'_>> {
        let route = self.slices.iter().find(|route| route.slice == slice)?;
        let there = |backend: &Arc<Backend>| !backend.is_draining();
        let usable = |backend: &Arc<Backend>| {
            there(backend) && !tried.iter().any(|other| Arc::ptr_eq(other, backend))
        };
        route.backends.iter().any(there).then(|| {
            least_loaded(&route.backends, turn, usable).map_or(Pick::Nobody, Pick::Backend)
        })
    }
}

/// Maps a 64-bit number to `0..total` (to 0 when `total` is 0).
pub(crate) fn scale(point: u64, total: u64) -> u64 {
    let high = (u128::from(point) * u128::from(total)) >> 64;
    u64::try_from(high).expect("a product of two 64-bit numbers, shifted by 64 bits")
}

/// The usable instance with the fewest requests in flight among the next few after `turn`.
fn least_loaded(
    backends: &[Arc<Backend>],
    turn: usize,
    usable: impl Fn(&Arc<Backend>) -> bool,
) -> Option<&Arc<Backend>> {
    let start = turn.checked_rem(backends.len())?;
    let (before, after) = backends.split_at(start);
    let in_turn = after.iter().chain(before).filter(|backend| usable(backend));
    in_turn
        .take(COMPARED_MAX)
        .min_by_key(|backend| backend.in_flight())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str) -> Arc<Backend> {
        Backend::new(InstanceId(name.to_owned()), ([127, 0, 0, 1], 1).into())
    }

    fn slice(slice: Slice, weight: u8, backends: &[&Arc<Backend>]) -> SliceRoute {
        let backends = backends.iter().map(|backend| Arc::clone(backend)).collect();
        SliceRoute {
            slice,
            weight,
            backends,
        }
    }

    fn picked(route: &Route, random: u64, turn: usize) -> &str {
        match route.pick(random, turn, &[]) {
            Pick::Backend(backend) => &backend.id().0,
            Pick::Draining => "draining",
            Pick::Nobody => "nobody",
        }
    }

    #[test]
    fn every_slice_gets_exactly_its_share() {
        let (blue, green) = (backend("blue"), backend("green"));
        for weight in [0, 1, 10, 50, 99, 100] {
            let route = Route {
                slices: vec![
                    slice(Slice::Blue, 100 - weight, &[&blue]),
                    slice(Slice::Green, weight, &[&green]),
                ],
                ..Route::default()
            };
            // 10,000 points spread evenly over the range of the random number.
            let points = (0..10_000_u64).map(|point| point * (u64::MAX / 10_000));
            let green = points
                .filter(|point| picked(&route, *point, 0) == "green")
                .count();
            assert!(
                green.abs_diff(usize::from(weight) * 100) <= 1,
                "{weight} %: {green} of 10000"
            );
        }
    }

    #[test]
    fn the_least_loaded_instance_is_chosen_and_equals_take_turns() {
        let (a, b, c) = (backend("a"), backend("b"), backend("c"));
        let route = Route {
            slices: vec![slice(Slice::Blue, 100, &[&a, &b, &c])],
            ..Route::default()
        };
        let turns: Vec<_> = (0..4).map(|turn| picked(&route, 7, turn)).collect();
        assert_eq!(turns, ["a", "b", "c", "a"]);
        let _busy = (
            a.lease().expect("a does not drain"),
            b.lease().expect("nor does b"),
        );
        assert!((0..3).all(|turn| picked(&route, 7, turn) == "c"));
    }

    #[test]
    fn draining_and_tried_instances_are_passed_over() {
        let (a, b) = (backend("a"), backend("b"));
        let route = Route {
            slices: vec![slice(Slice::Blue, 100, &[&a, &b])],
            ..Route::default()
        };
        a.start_draining();
        assert_eq!(picked(&route, 7, 0), "b");
        assert!(a.lease().is_none());
        assert_eq!(a.in_flight(), 0, "a refused lease leaves no count behind");
        assert!(matches!(
            route.pick(7, 0, &[Arc::clone(&b)]),
            Pick::Draining
        ));
        b.start_draining();
        assert_eq!(picked(&route, 7, 0), "draining");
    }

    #[test]
    fn a_slice_without_instances_leaves_its_share_to_the_others() {
        let green = backend("green");
        let route = Route {
            slices: vec![
                slice(Slice::Blue, 90, &[]),
                slice(Slice::Green, 10, &[&green]),
            ],
            ..Route::default()
        };
        assert!(
            [0, u64::MAX / 2, u64::MAX]
                .iter()
                .all(|r| picked(&route, *r, 0) == "green")
        );
    }

    #[test]
    fn weight_zero_gets_nobody() {
        let green = backend("green");
        let route = Route {
            slices: vec![slice(Slice::Green, 0, &[&green])],
            ..Route::default()
        };
        assert_eq!(picked(&route, 7, 0), "nobody");
        assert!(matches!(
            route.pick_of(Slice::Green, 0, &[]),
            Some(Pick::Backend(_))
        ));
        let tried = [Arc::clone(&green)];
        assert!(matches!(
            route.pick_of(Slice::Green, 0, &tried),
            Some(Pick::Nobody)
        ));
        assert!(route.pick_of(Slice::Blue, 0, &[]).is_none());
        green.start_draining();
        assert!(route.pick_of(Slice::Green, 0, &[]).is_none());
        assert_eq!(picked(&Route::default(), 7, 0), "nobody");
    }

    /// A user who was moved to the slice that grows stays there.
    #[test]
    fn widening_moves_nobody_back() {
        let (blue, green) = (backend("blue"), backend("green"));
        for point in (0..1_000_u64).map(|point| point * (u64::MAX / 1_000)) {
            let slice_at = |weight: u8| {
                let route = Route {
                    slices: vec![
                        slice(Slice::Blue, 100 - weight, &[&blue]),
                        slice(Slice::Green, weight, &[&green]),
                    ],
                    ..Route::default()
                };
                picked(&route, point, 0) == "green"
            };
            let greens: Vec<bool> = (0..=100).map(slice_at).collect();
            assert!(greens.is_sorted(), "{point}: {greens:?}");
        }
    }

    /// The drain invariant under threads: whoever saw 0 after the mark never sees a lease again.
    #[test]
    fn no_lease_after_the_wait_for_zero_ended() {
        for _ in 0..300 {
            let backend = backend("a");
            let gone = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while let Some(_lease) = backend.lease() {
                            assert!(!gone.load(Ordering::SeqCst), "a lease after the drain");
                        }
                    });
                }
                backend.start_draining();
                while backend.in_flight() > 0 {
                    std::hint::spin_loop();
                }
                gone.store(true, Ordering::SeqCst);
            });
        }
    }
}
