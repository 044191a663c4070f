//! One mirror at work: what it copies, how many at once, and what became of the copies.
//!
//! [`sample`](crate::dark::sample) runs on the users' threads: it draws the requests to copy, keeps
//! them as they pass, and hands them over. [`copies`](crate::dark::copies) is a thread of its own
//! that sends the copies and compares the answers. This file is what both share.
//!
//! Invariant: at most [`Limits::copies`](crate::config::Limits::copies) requests of a mirror are
//! being copied at once; this includes waiting for the thread, both copies, and the comparison.
//! Further ones are dropped and counted, never queued.
//! Invariant: at most [`KEPT_MAX`] requests of a mirror are kept in memory while the users' answers
//! pass.
//! Invariant: the numbers in [`Mirrored`] only grow; a new mirror begins with a new epoch.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use domain::{
    time::UnixMs,
    traffic::{Difference, FIELDS_MAX, Mirror, Mirrored},
};
use http::{HeaderName, Method};
use parking_lot::Mutex;

use crate::dark::compare::{Compared, Differences};

/// The header that marks a copy, with the value `1`, so that a service can skip what must not
/// happen twice. Users cannot set it: their field of this name stays behind, and changes nothing. An
/// instance that passes it on to another service through the router starts copies of its own there.
pub const SHADOW: HeaderName = HeaderName::from_static("x-pointsman-shadow");
/// Longest body of a request that is copied, and of an answer that is compared, in bytes.
pub(crate) const BODY_LEN_MAX: usize = 64 * 1024;
/// Maximum number of requests that are kept in memory while they pass.
const KEPT_MAX: usize = 256;

/// One mirror at work. Keep it for as long as the mirror stays the same, and list it in table after
/// table: the counts belong to it.
#[derive(Debug)]
pub struct Mirroring {
    mirror: Mirror,
    methods: Vec<Method>,
    /// Requests that are being copied.
    under_way: Arc<Room>,
    /// Requests that are kept in memory.
    kept: Arc<Room>,
    dropped: AtomicU64,
    /// A panic elsewhere leaves it whole: no step of counting is half done.
    counted: Mutex<Mirrored>,
}

impl Mirroring {
    /// A mirror that begins to count at `now`.
    #[must_use]
    pub fn new(mirror: Mirror, now: UnixMs) -> Arc<Self> {
        let counted = Mirrored {
            epoch: u64::try_from(now.0).unwrap_or(0),
            ..Mirrored::default()
        };
        Self::resume(mirror, counted)
    }

    /// A mirror that counts on from `counted`.
    #[must_use]
    pub fn resume(mirror: Mirror, counted: Mirrored) -> Arc<Self> {
        let method = |method: &String| Method::from_bytes(method.as_bytes()).ok();
        Arc::new(Self {
            methods: mirror.methods.iter().filter_map(method).collect(),
            mirror,
            under_way: Arc::default(),
            kept: Arc::default(),
            dropped: AtomicU64::new(counted.dropped),
            counted: Mutex::new(counted),
        })
    }

    /// What it copies.
    #[must_use]
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// What became of the copies so far.
    #[must_use]
    pub fn mirrored(&self) -> Mirrored {
        let mut mirrored = self.counted.lock().clone();
        mirrored.dropped = self.dropped.load(Ordering::Relaxed);
        mirrored
    }

    /// Whether a request with this method and a body of `body_len` bytes may be copied: GET and
    /// HEAD without a body, and whatever methods the mirror names.
    pub(crate) fn may_copy(&self, method: &Method, body_len: u64) -> bool {
        let opted_in = self.methods.contains(method);
        match body_len {
            0 => opted_in || matches!(*method, Method::GET | Method::HEAD),
            len => opted_in && len <= BODY_LEN_MAX as u64,
        }
    }

    /// Begins to copy a request, or counts it as dropped when `max` are being copied already.
    pub(crate) fn begin(&self, max: usize) -> Option<Place> {
        self.or_dropped(self.under_way.enter(max))
    }

    /// Whether [`Self::begin`] would drop a request now. If so, it is counted as dropped.
    pub(crate) fn drops(&self, max: usize) -> bool {
        self.or_dropped((!self.under_way.is_full(max)).then_some(()))
            .is_none()
    }

    /// Begins to keep a request in memory, if there is room.
    pub(crate) fn keep(&self) -> Option<Place> {
        self.kept.enter(KEPT_MAX)
    }

    /// Counts a request as dropped when there is no `place` for it.
    pub(crate) fn or_dropped<T>(&self, place: Option<T>) -> Option<T> {
        if place.is_none() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    /// Counts a copy that is sent now. A copy for which the slice has no healthy instance counts
    /// too, and also as an error, because it gets no answer. The second copies, to the users'
    /// slice, do not count.
    pub(crate) fn count_sent(&self) {
        self.counted.lock().copies += 1;
    }

    /// Counts a copy that got no answer, or a 5xx.
    pub(crate) fn count_error(&self) {
        self.counted.lock().errors += 1;
    }

    /// Counts a request whose three answers were compared.
    pub(crate) fn count_compared(&self, compared: Compared) {
        count_compared(&mut self.counted.lock(), compared);
    }
}

fn count_compared(counted: &mut Mirrored, Compared { copy, control }: Compared) {
    let beyond = |one: &Differences, two: &Differences| one.keys().any(|f| !two.contains_key(f));
    counted.compared += 1;
    counted.differing += u64::from(beyond(&copy, &control));
    counted.noisy += u64::from(beyond(&control, &copy));
    for (field, values) in &copy {
        let is_noise = control.contains_key(field);
        if let Some(difference) = entry(counted, field, is_noise) {
            difference.differed += 1;
            difference.example.get_or_insert_with(|| values.clone());
        }
    }
    for field in control.keys() {
        if let Some(difference) = entry(counted, field, true) {
            difference.noise += 1;
        }
    }
}

/// The entry where a field is counted. When the list is full, a field that was noise at least as
/// often as it differed makes room for one that is not noise.
fn entry<'a>(counted: &'a mut Mirrored, field: &str, is_noise: bool) -> Option<&'a mut Difference> {
    let fields = &mut counted.fields;
    if fields.len() >= FIELDS_MAX && !fields.contains_key(field) {
        let mut noise = fields.iter().filter(|(_, of)| of.differed <= of.noise);
        let (name, _) = noise.next().filter(|_| !is_noise)?;
        let name = name.clone();
        fields.remove(&name);
    }
    Some(fields.entry(field.to_owned()).or_default())
}

/// Counts the places that are taken, where their number is limited.
#[derive(Debug, Default)]
struct Room {
    taken: AtomicUsize,
}

impl Room {
    /// Takes a place, unless `max` are taken.
    fn enter(self: &Arc<Self>, max: usize) -> Option<Place> {
        let place = Place(Arc::clone(self));
        // Dropping the place takes the count back.
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        (before < max).then_some(place)
    }

    fn is_full(&self, max: usize) -> bool {
        self.taken.load(Ordering::Relaxed) >= max
    }
}

/// A place in a [`Room`]. Dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Place(Arc<Room>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use domain::slice::Slice;

    use super::*;

    fn mirroring(methods: &[&str]) -> Arc<Mirroring> {
        let mirror = Mirror {
            from: Slice::Blue,
            to: Slice::Green,
            percent: 100,
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            compare: None,
        };
        Mirroring::new(mirror, UnixMs(7))
    }

    fn differences(fields: &[&str]) -> Differences {
        let values = || ("1".to_owned(), "2".to_owned());
        fields.iter().map(|f| ((*f).to_owned(), values())).collect()
    }

    #[test]
    fn only_what_is_safe_or_opted_in_is_copied() {
        let most = BODY_LEN_MAX as u64;
        for (methods, method, body_len, expected) in [
            (&[][..], Method::GET, 0, true),
            (&[], Method::HEAD, 0, true),
            (&[], Method::GET, 1, false),
            (&[], Method::POST, 0, false),
            (&[], Method::OPTIONS, 0, false),
            (&["POST"], Method::POST, 0, true),
            (&["POST"], Method::POST, most, true),
            (&["POST"], Method::POST, most + 1, false),
            (&["POST"], Method::PUT, 0, false),
        ] {
            let may = mirroring(methods).may_copy(&method, body_len);
            assert_eq!(may, expected, "{method} with {body_len} and {methods:?}");
        }
    }

    #[test]
    fn no_more_than_there_is_room_for_and_the_rest_is_counted() {
        let mirroring = mirroring(&[]);
        let places: Vec<_> = (0..3).map(|_| mirroring.begin(2)).collect();
        assert_eq!(places.iter().flatten().count(), 2);
        assert!(mirroring.drops(2));
        assert_eq!(mirroring.mirrored().dropped, 2);
        drop(places);
        assert!(!mirroring.drops(2));
        assert!(mirroring.begin(1).is_some(), "a refused place leaves none");
        assert_eq!(mirroring.mirrored().dropped, 2);
        assert_eq!(mirroring.mirrored().epoch, 7);
    }

    #[test]
    fn a_difference_counts_where_chance_alone_does_not_make_it() {
        let mirroring = mirroring(&[]);
        for (copy, control) in [
            (&["$.at"][..], &["$.at"][..]),
            (&["$.at", "$.price"], &["$.at"]),
            (&[], &["$.at"]),
            (&["$.price"], &["$.luck"]),
            (&[], &[]),
        ] {
            let (copy, control) = (differences(copy), differences(control));
            mirroring.count_compared(Compared { copy, control });
        }
        let counted = mirroring.mirrored();
        let sums = (counted.compared, counted.differing, counted.noisy);
        assert_eq!(sums, (5, 2, 2));
        let of = |field: &str| {
            let of = &counted.fields[field];
            (of.differed, of.noise, of.example.is_some())
        };
        assert_eq!(of("$.at"), (2, 3, true));
        assert_eq!(of("$.price"), (2, 0, true));
        assert_eq!(of("$.luck"), (0, 1, false));
    }

    #[test]
    fn fields_are_bounded_and_noise_makes_room() {
        let mirroring = mirroring(&[]);
        let count = |field: String, is_noise: bool| {
            let copy = differences(&[&field]);
            let control = if is_noise {
                copy.clone()
            } else {
                Differences::new()
            };
            mirroring.count_compared(Compared { copy, control });
        };
        (0..100).for_each(|n| count(format!("$.noise{n}"), true));
        assert_eq!(mirroring.mirrored().fields.len(), FIELDS_MAX);
        count("$.price".to_owned(), false);
        let counted = mirroring.mirrored();
        assert_eq!(counted.fields.len(), FIELDS_MAX);
        assert_eq!(counted.fields["$.price"].differed, 1);
        assert_eq!((counted.compared, counted.differing), (101, 1));
    }
}
