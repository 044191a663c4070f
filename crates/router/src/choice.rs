//! Which slice a request goes to: that of a tester's pass, that of a sticky user's point, or one
//! drawn by chance.
//!
//! Invariant: a request keeps its point, however often an instance is chosen for it.

use std::sync::Arc;

use domain::slice::Slice;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    instances::backend::{Backend, Who},
    sticky::Point,
    table::{Pick, Route},
    worker::Worker,
};

/// How the slice of one request is chosen.
#[derive(Debug)]
pub(crate) struct Choice {
    point: u64,
    /// Whether the user has the point for longer than this request.
    sticks: bool,
    /// The slice that a valid pass opens.
    pass: Option<Slice>,
    /// Whether the slice of the pass had instances.
    honoured: bool,
    /// The cookie that a new user gets.
    cookie: Option<HeaderValue>,
}

impl Choice {
    /// Reads the request's pass and the user's point.
    pub(crate) fn of(route: &Route, place: &str, headers: &HeaderMap, worker: &Worker) -> Self {
        let pass = worker.shared.passes.slice(place, headers);
        let sticky = route.sticky.as_ref();
        let point = sticky.map_or(Point::Unknown, |sticky| {
            sticky.point(headers, || worker.point())
        });
        let (point, sticks, cookie) = match point {
            Point::Known(point) => (point, true, None),
            Point::New(point, cookie) => (point, true, Some(cookie)),
            Point::Unknown => (worker.point(), sticky.is_some(), None),
        };
        Self {
            point,
            sticks,
            pass,
            honoured: false,
            cookie: cookie.filter(|_| pass.is_none()),
        }
    }

    /// Chooses an instance of `route`. A pass for a slice without instances is ignored.
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

    /// Whether the request came with a valid pass.
    pub(crate) fn by_pass(&self) -> bool {
        self.pass.is_some()
    }

    /// Who makes the request. Where users stick, one who is not recognised is another user with each
    /// request.
    pub(crate) fn who(&self) -> Who {
        match self.pass {
            Some(_) => Who::Tester,
            None => Who::User(self.sticks.then_some(self.point)),
        }
    }

    /// Adds to the answer what the router has to say: a new user's cookie; for a tester, the slice
    /// of the pass if that slice answered.
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
