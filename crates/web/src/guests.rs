//! Who is connected: how long each may be idle, and who goes when the house is full.
//!
//! Invariant: nobody without a token keeps anybody out. When all places are taken, the connection that
//! is there the longest without having shown one is closed.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// How long the first request of a connection may take to begin, and to show its head.
pub(crate) const FIRST_MAX: Duration = Duration::from_secs(10);
/// How long a connection may be idle after that.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(60);

/// Everybody who is connected. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct House {
    guests: Arc<Mutex<BTreeMap<u64, Arc<Guest>>>>,
    places: usize,
    places_per_peer: usize,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Guest {
    peer: IpAddr,
    /// It showed a token that is somebody's.
    known: AtomicBool,
    doing: Mutex<Doing>,
    leave: CancellationToken,
}

#[derive(Debug)]
struct Doing {
    under_way: usize,
    asked: bool,
    since: Instant,
}

/// A place in the house, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    house: House,
    number: u64,
    pub(crate) guest: Arc<Guest>,
}

impl House {
    /// A house with so many places, of which one peer gets at most `places_per_peer`.
    pub(crate) fn new(places: usize, places_per_peer: usize) -> Self {
        Self {
            guests: Arc::default(),
            places,
            places_per_peer,
        }
    }

    /// A place for a new connection; `None` when everybody who is there showed a token.
    pub(crate) fn enter(&self, peer: IpAddr) -> Option<Place> {
        let mut guests = self.guests();
        let of_peer = guests.values().filter(|it| it.peer == peer).count();
        if of_peer >= self.places_per_peer {
            send_away(&mut guests, |it| it.peer == peer)?;
        }
        if guests.len() >= self.places {
            send_away(&mut guests, |_| true)?;
        }
        let guest = Arc::new(Guest {
            peer,
            known: AtomicBool::new(false),
            doing: Mutex::new(Doing {
                under_way: 0,
                asked: false,
                since: Instant::now(),
            }),
            leave: CancellationToken::new(),
        });
        let number = guests.last_key_value().map_or(0, |(last, _)| last + 1);
        guests.insert(number, Arc::clone(&guest));
        Some(Place {
            house: self.clone(),
            number,
            guest,
        })
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Guest>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the one away that is there the longest without a token; `None` when there is none.
fn send_away(guests: &mut BTreeMap<u64, Arc<Guest>>, which: impl Fn(&Guest) -> bool) -> Option<()> {
    let mut strangers = guests.iter();
    let (number, guest) =
        strangers.find(|(_, guest)| which(guest) && !guest.known.load(Ordering::Relaxed))?;
    guest.leave.cancel();
    let number = *number;
    guests.remove(&number);
    Some(())
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guests = self.house.guests();
        let own = guests.get(&self.number);
        if own.is_some_and(|guest| Arc::ptr_eq(guest, &self.guest)) {
            guests.remove(&self.number);
        }
    }
}

impl Guest {
    /// The address at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// It showed a credential that is somebody's.
    pub(crate) fn is_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Ready when the connection has to end: it was idle for too long, or its place is needed.
    pub(crate) async fn has_to_leave(&self) {
        loop {
            let left = {
                let doing = self.doing();
                let limit = if doing.asked { IDLE_MAX } else { FIRST_MAX };
                match doing.under_way {
                    0 => limit.saturating_sub(doing.since.elapsed()),
                    _ => limit,
                }
            };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.leave.cancelled() => return,
            }
        }
    }

    /// A request begins; it lasts until the value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut doing = self.doing();
        doing.under_way += 1;
        doing.asked = true;
        UnderWay(Arc::clone(self))
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way, with its answer.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Guest>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut doing = self.0.doing();
        doing.under_way -= 1;
        doing.since = Instant::now();
    }
}

impl UnderWay {
    /// The body of the answer, which is part of it.
    pub(crate) fn with(self, body: Body) -> Body {
        Body::new(Answer {
            body,
            _under_way: self,
        })
    }
}

struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn sent_away(place: &Place) -> bool {
        place.guest.leave.is_cancelled()
    }

    #[test]
    fn a_full_house_closes_the_oldest_that_showed_no_token() {
        let house = House::new(3, 3);
        let known = house.enter(peer(1)).expect("a place");
        known.guest.is_known();
        let old = house.enter(peer(1)).expect("a place");
        let young = house.enter(peer(1)).expect("a place");
        let new = house.enter(peer(2)).expect("a place");
        assert_eq!(
            [&known, &old, &young, &new].map(sent_away),
            [false, true, false, false]
        );
        drop(old);
        assert_eq!(house.guests().len(), 3);
        young.guest.is_known();
        new.guest.is_known();
        assert!(house.enter(peer(3)).is_none(), "everybody showed a token");
        drop(known);
        assert!(house.enter(peer(3)).is_some());
    }

    #[test]
    fn one_peer_does_not_get_all_places() {
        let house = House::new(9, 2);
        let first = house.enter(peer(1)).expect("a place");
        let other = house.enter(peer(2)).expect("a place");
        let _second = house.enter(peer(1)).expect("a place");
        let _third = house.enter(peer(1)).expect("a place");
        assert!(sent_away(&first) && !sent_away(&other));
    }

    #[tokio::test]
    async fn a_request_under_way_keeps_its_connection() {
        let house = House::new(1, 1);
        let place = house.enter(peer(1)).expect("a place");
        let body = place.guest.begin().with(Body::from("an answer"));
        assert_eq!(place.guest.doing().under_way, 1);
        assert_eq!(body.size_hint().exact(), Some(9), "its length is known");
        drop(body);
        assert_eq!(place.guest.doing().under_way, 0);
    }
}
