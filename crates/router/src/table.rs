//! Who serves which host name: the routing table, and the choice between its instances.
//!
//! Invariant: of many points that are spread evenly, each slice gets exactly its share by weight; a
//! point in a slice whose share grows stays there.

use std::{collections::HashMap, sync::Arc};

use domain::slice::Slice;

use crate::{dark::mirror::Mirroring, instances::backend::Backend, sticky::Sticky};

/// How many instances are compared for each request; in larger groups, each request compares the
/// next few.
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
    /// The slices; one with weight 0 gets only testers with a pass. Sticky users are split in this
    /// order.
    pub slices: Vec<SliceRoute>,
    /// The dark traffic, if there is any.
    pub mirror: Option<Arc<Mirroring>>,
    /// How users are recognised; `None` when the slice of each request is drawn by chance.
    pub sticky: Option<Sticky>,
    /// Paths whose requests are not counted; one that ends in `*` stands for all that begin like it.
    pub ignore_paths: Vec<String>,
}

/// One slice of a route.
#[derive(Debug)]
pub struct SliceRoute {
    /// Blue or green.
    pub slice: Slice,
    /// Its share, in percent.
    pub weight: u8,
    /// Its healthy instances.
    pub backends: Vec<Arc<Backend>>,
}

/// The instance that was chosen from a route, or why there is none.
#[derive(Debug)]
pub(crate) enum Pick<'a> {
    /// This instance.
    Backend(&'a Arc<Backend>),
    /// There are instances, and all of them drain: a newer table must be on its way.
    Draining,
    /// There is no instance.
    Nobody,
}

impl Route {
    /// Whether requests for `path` are counted.
    pub(crate) fn counts(&self, path: &str) -> bool {
        !self
            .ignore_paths
            .iter()
            .any(|ignored| match ignored.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => path == ignored,
            })
    }

    /// Chooses an instance that was not `tried`. The slice is the one whose share of the weights
    /// contains `point`, a fraction of 2^64. The instance is the one with the fewest requests in
    /// flight, among the next few from position `turn`.
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
                // A backend may have begun to drain since the shares were computed.
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

    /// The instance of `slice` with the fewest requests in flight, whatever the weight of the
    /// slice.
    pub(crate) fn pick_in(&self, slice: Slice, turn: usize) -> Option<&Arc<Backend>> {
        let slice = self.slices.iter().find(|route| route.slice == slice)?;
        least_loaded(&slice.backends, turn, |backend| !backend.is_draining())
    }

    /// Chooses an instance of one slice that was not `tried`, whatever the weight of the slice.
    /// `None` when every instance of the slice drains, or it has none.
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
    use domain::observation::InstanceId;

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
            a.lease(None).expect("a does not drain"),
            b.lease(None).expect("nor does b"),
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
        assert!(a.lease(None).is_none());
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
}
