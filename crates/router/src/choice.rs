//! Which slice a request goes to: the one of a tester's pass, the one of a sticky user's point, or by
//! chance.
//!
//! Invariant: a request has one point, however often an instance is chosen for it.

use std::sync::Arc;

use domain::observation::Slice;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    instances::backend::Backend,
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
