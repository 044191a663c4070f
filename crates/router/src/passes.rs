//! The passes that testers send with their requests: which slice they open, and how many were
//! ignored.

use std::{
    array,
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use domain::slice::Slice;
use http::{HeaderMap, HeaderValue};

use crate::{
    config::PassCheck,
    message::cookies,
    pass::{self, Ignored},
};

/// Checks passes, and counts those that are ignored.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    check: Option<PassCheck>,
    ignored: [AtomicU64; Ignored::ALL.len()],
}

impl Passes {
    /// Accepts the passes that `check` finds valid; without it every pass is ignored.
    pub(crate) fn new(check: Option<PassCheck>) -> Self {
        Self {
            check,
            ignored: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The slice that the pass of a request opens.
    pub(crate) fn slice(&self, place: &str, headers: &HeaderMap) -> Option<Slice> {
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

    /// How many passes were ignored, by reason.
    pub(crate) fn ignored(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.ignored.iter().map(|n| n.load(Ordering::Relaxed));
        Ignored::ALL
            .map(Ignored::as_str)
            .into_iter()
            .zip(counts)
            .collect()
    }
}
