//! Which slice a request goes to: the one of a tester's pass, the one of a sticky user's point, or by
//! chance.
//!
//! Invariant: a request has one point, however often an instance is chosen for it.

use std::{
    array,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::observation::Slice;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    PassCheck,
    backend::Backend,
    cookies,
    pass::{self, Ignored},
    sticky::Point,
    table::{Pick, Route},
    worker::Worker,
};

/// What was found out of a request.
#[derive(Debug)]
pub(crate) struct Choice {
    point: u64,
    /// By a pass.
    pass: Option<Slice>,
    /// The slice of the pass has instances.
    honoured: bool,
    /// The cookie for a new user.
    cookie: Option<HeaderValue>,
}

impl Choice {
    /// Looks for a pass and for what the user is recognised by.
    pub(crate) fn of(route: &Route, place: &str, headers: &HeaderMap, worker: &Worker) -> Self {
        let pass = worker.shared.passes.slice(place, headers);
        let sticky = route.sticky.as_ref();
        let point = sticky.map_or(Point::Unknown, |sticky| {
            sticky.point(headers, || worker.point())
        });
        let (point, cookie) = match point {
            Point::Known(point) => (point, None),
            Point::New(point, cookie) => (point, Some(cookie)),
            Point::Unknown => (worker.point(), None),
        };
        Self {
            point,
            pass,
            honoured: false,
            cookie: cookie.filter(|_| pass.is_none()),
        }
    }

    /// An instance of `route`. A pass for a slice without any is as none.
    pub(crate) fn pick<'a>(
        &mut self,
        route: &'a Route,
        turn: usize,
        tried: &[Arc<Backend>],
    ) -> Pick<'a> {
        let by_pass = self
            .pass
            .and_then(|slice| route.pick_of(slice, turn, tried));
        self.honoured = by_pass.is_some();
        by_pass.unwrap_or_else(|| route.pick(self.point, turn, tried))
    }

    /// It came with a good pass.
    pub(crate) fn by_pass(&self) -> bool {
        self.pass.is_some()
    }

    /// What the router adds to the answer: a new user's cookie; for testers, the slice of the pass
    /// if it was they who answered.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        if let Some(cookie) = self.cookie {
            headers.append(header::SET_COOKIE, cookie);
        }
        if let Some(slice) = self.pass.filter(|_| self.honoured) {
            let slice = match slice {
                Slice::Blue => "blue",
                Slice::Green => "green",
            };
            headers.insert("x-pointsman-slice", HeaderValue::from_static(slice));
        }
    }
}

/// Checks passes, and counts those that are ignored.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    check: Option<PassCheck>,
    ignored: [AtomicU64; Ignored::ALL.len()],
}

impl Passes {
    /// Passes that `check` finds good; without it every pass is ignored.
    pub(crate) fn new(check: Option<PassCheck>) -> Self {
        Self {
            check,
            ignored: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The slice that the pass of a request lets into.
    fn slice(&self, place: &str, headers: &HeaderMap) -> Option<Slice> {
        let header = headers.get(pass::HEADER).map(HeaderValue::as_bytes);
        let token = header.or_else(|| cookies::values(headers, pass::COOKIE).next())?;
        let check = self.check.as_ref().ok_or(Ignored::Invalid);
        let why = match check.and_then(|by| by.key.check(token, place, (by.clock)())) {
            Ok(slice) => return Some(slice),
            Err(why) => why,
        };
        let counters = Ignored::ALL.iter().zip(&self.ignored);
        for (_, counter) in counters.filter(|(ignored, _)| **ignored == why) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// How many were ignored, and why.
    pub(crate) fn ignored(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.ignored.iter().map(|n| n.load(Ordering::Relaxed));
        Ignored::ALL
            .map(Ignored::as_str)
            .into_iter()
            .zip(counts)
            .collect()
    }
}
