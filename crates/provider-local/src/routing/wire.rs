//! The messages between the daemon and the router. The two ends may be of different versions while
//! one is replaced, so fields are only added, with defaults.

use std::collections::BTreeMap;

use domain::{
    catalogue::Stickiness,
    names::Version,
    observation::InstanceId,
    slice::Slice,
    traffic::{InstanceCounts, Mirror, Mirrored, UserCounts},
};
use router::Counts;
use serde::{Deserialize, Serialize};

/// Who serves which host name, whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Table {
    /// By `service.environment`.
    pub(crate) hosts: BTreeMap<String, Host>,
}

/// Where the users of one place go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    #[serde(default)]
    pub(crate) sticky: Option<Stickiness>,
    #[serde(default)]
    pub(crate) mirror: Option<Mirror>,
    /// Paths whose requests are not counted.
    #[serde(default)]
    pub(crate) ignore_paths: Vec<String>,
    pub(crate) slices: Vec<SliceOf>,
}

/// One slice of a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SliceOf {
    pub(crate) slice: Slice,
    /// Its share of the users, in percent.
    pub(crate) weight: u8,
    /// The release that starts next: its counts are kept.
    #[serde(default)]
    pub(crate) next: Option<Version>,
    pub(crate) instances: Vec<InstanceAt>,
}

/// An instance that gets requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceAt {
    pub(crate) id: InstanceId,
    pub(crate) version: Version,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
}

/// What a router is asked, one question per connection.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Who it is. Answered with [`Hello`].
    Hello,
    /// The socket that users reach, which comes along with the answer.
    Listener,
    /// Take what the router before counted; once, before the first table.
    Absorb {
        counted: Box<Reading>,
        /// Whether it was the last of that router; else the first.
        last: bool,
    },
    /// Route by this table, if it is newer than the one before.
    Publish { version: u64, table: Table },
    /// Wait until nothing is in flight at this instance, for at most this long. Answered with the
    /// number of requests that are.
    Idle { instance: InstanceId, wait_ms: u64 },
    /// What was counted, of one place or of all.
    Read { place: Option<String> },
    /// Take no new connection, and end each one with its next answer. Answered with everything that
    /// was counted until then; later readings are of what was counted since.
    Leave,
    /// End, at the latest after this long.
    End { grace_ms: u64 },
}

/// Who a router is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Which program it runs: another value is another build.
    pub(crate) build: String,
    /// The version of its table; 0 without one.
    pub(crate) version: u64,
    /// It takes no new connection.
    pub(crate) leaving: bool,
    /// It has taken what the router before counted.
    #[serde(default)]
    pub(crate) absorbed: bool,
    /// Users' connections.
    pub(crate) connections: usize,
}

/// What a router counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reading {
    /// When counting began, in Unix milliseconds.
    pub(crate) epoch: u64,
    pub(crate) slices: Vec<SliceReading>,
    pub(crate) instances: BTreeMap<InstanceId, InstanceReading>,
    /// What became of the copies, by place.
    pub(crate) mirrored: BTreeMap<String, Mirrored>,
    /// Answers that the router made itself, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Passes that were ignored, by reason.
    pub(crate) ignored_passes: BTreeMap<String, u64>,
}

/// What was counted of one slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SliceReading {
    pub(crate) place: String,
    pub(crate) slice: Slice,
    /// The counts of releases that are no longer shown.
    pub(crate) past: Counts,
    /// Those of the releases that are.
    pub(crate) releases: BTreeMap<Version, Counts>,
    pub(crate) users: UserCounts,
}

/// What was counted of one instance, and what it answers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct InstanceReading {
    pub(crate) counts: InstanceCounts,
    pub(crate) in_flight: usize,
}

impl SliceReading {
    /// The counts of all releases.
    pub(crate) fn sum(&self) -> Counts {
        let mut sum = self.past.clone();
        self.releases.values().for_each(|counts| sum.add(counts));
        sum
    }
}

impl Reading {
    /// Adds what another router counted.
    pub(crate) fn add(&mut self, other: Self) {
        for theirs in other.slices {
            let own = self.slices.iter_mut();
            let mut own = own.filter(|it| it.place == theirs.place && it.slice == theirs.slice);
            let Some(own) = own.next() else {
                self.slices.push(theirs);
                continue;
            };
            own.past.add(&theirs.past);
            own.users.add(theirs.users);
            for (version, counts) in theirs.releases {
                own.releases.entry(version).or_default().add(&counts);
            }
        }
        for (id, theirs) in other.instances {
            let own = self.instances.entry(id).or_default();
            own.counts.requests += theirs.counts.requests;
            own.counts.errors += theirs.counts.errors;
            own.in_flight += theirs.in_flight;
        }
        for (status, n) in other.refused {
            *self.refused.entry(status).or_default() += n;
        }
        for (reason, n) in other.ignored_passes {
            *self.ignored_passes.entry(reason).or_default() += n;
        }
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for own in &mut self.slices {
            let before = earlier.slices.iter();
            let mut before = before.filter(|it| it.place == own.place && it.slice == own.slice);
            let Some(before) = before.next() else {
                continue;
            };
            own.past = own.sum().since(&before.sum());
            // A release may have gone into the past meanwhile: the sum is what counts.
            for (version, counts) in &mut own.releases {
                let was = before.releases.get(version).cloned().unwrap_or_default();
                *counts = counts.since(&was);
                own.past = own.past.since(counts);
            }
            own.users = own.users.since(before.users);
        }
        for (id, own) in &mut self.instances {
            let was = earlier
                .instances
                .get(id)
                .map(|it| it.counts)
                .unwrap_or_default();
            own.counts.requests = own.counts.requests.saturating_sub(was.requests);
            own.counts.errors = own.counts.errors.saturating_sub(was.errors);
        }
        for (status, n) in &mut self.refused {
            *n = n.saturating_sub(earlier.refused.get(status).copied().unwrap_or(0));
        }
        for (reason, n) in &mut self.ignored_passes {
            *n = n.saturating_sub(earlier.ignored_passes.get(reason).copied().unwrap_or(0));
        }
        self.mirrored.clear();
        self
    }
}
