//! What routers and load balancers count, and the copies that they send to a slice nobody sees.
//!
//! Invariant: counters only grow as long as `epoch` stays the same; a counter that began anew says
//! so by another epoch. Copies of requests never count as traffic of users.

mod by_minute;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    bounds::{Faults, Limit, Limited, NAMES_MAX},
    observation::InstanceId,
    slice::Slice,
};

pub use by_minute::{ByMinute, MINUTE_MS, Minute};

/// What was counted of the users' requests to one slice since `epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// When counting began, in Unix milliseconds: another value means that counting began anew.
    pub epoch: u64,
    /// Requests that were answered, failed, or were given up by their users.
    pub requests: u64,
    /// Requests that were answered with a 5xx, not at all, or with a body that broke off by the instance's
    /// fault.
    pub errors: u64,
    /// Requests that were answered with a 4xx. They are not errors.
    #[serde(default)]
    pub client_errors: u64,
    /// Requests whose users went away before the answer's head came. They are not errors; the time they
    /// waited is in `latency`, because the answer would have taken at least that long.
    #[serde(default)]
    pub abandoned: u64,
    /// How long the answers took, from the request's head to the answer's head.
    pub latency: Histogram,
    /// The same by users, where users stick to a slice: there requests of one user are no independent
    /// evidence, users are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<UserCounts>,
    /// The part of each present instance, where it is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instances: BTreeMap<InstanceId, InstanceCounts>,
}

/// Users of one slice, counted once each for as long as the users of the place are split in the same way;
/// the counts go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserCounts {
    /// Users that made at least one request.
    pub seen: u64,
    /// Users of whose requests at least one was an error.
    pub failed: u64,
    /// Users of whose requests at least one was answered with a 4xx.
    #[serde(default)]
    pub client_failed: u64,
}

impl UserCounts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.seen = self.seen.saturating_add(other.seen);
        self.failed = self.failed.saturating_add(other.failed);
        self.client_failed = self.client_failed.saturating_add(other.client_failed);
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            failed: self.failed.saturating_sub(earlier.failed),
            client_failed: self.client_failed.saturating_sub(earlier.client_failed),
        }
    }
}

/// What one instance had of a slice's requests since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InstanceCounts {
    /// As in [`Traffic`].
    pub requests: u64,
    /// As in [`Traffic`].
    pub errors: u64,
}

/// Counts by duration, in buckets that grow by a quarter of a power of two (about 19 %).
///
/// Bucket 0 ends at 100 us, bucket `n` at 100 us x 2^(n/4); the last one has no end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// Bucket to count. Buckets that are not named have none.
    pub buckets: BTreeMap<u8, u64>,
}

/// The last bucket: everything above 100 us x 2^19.75, about 88 s.
pub const BUCKET_LAST: u8 = 80;

/// The upper ends of the buckets 0 to 79, in microseconds.
///
/// Rounded values of 100 x 2^(n/4): a table, so that every machine sorts alike.
#[must_use]
pub fn bucket_end_us(bucket: u8) -> Option<u64> {
    const QUARTERS: [u64; 4] = [1_000_000, 1_189_207, 1_414_214, 1_681_793];
    let quarter = QUARTERS[usize::from(bucket % 4)];
    (bucket < BUCKET_LAST).then(|| ((quarter * 100) << (bucket / 4)) / 1_000_000)
}

/// The bucket of a duration.
#[must_use]
pub fn bucket_of_us(us: u64) -> u8 {
    // Whole octaves by the position of the highest bit, the quarter by at most four comparisons.
    let octave = (us.saturating_sub(1) / 100).checked_ilog2().unwrap_or(0);
    let start = u8::try_from(octave * 4).unwrap_or(u8::MAX).min(BUCKET_LAST);
    (start..BUCKET_LAST)
        .find(|bucket| bucket_end_us(*bucket).is_some_and(|end| us <= end))
        .unwrap_or(BUCKET_LAST)
}

impl Histogram {
    /// Counts one duration.
    pub fn add_us(&mut self, us: u64) {
        *self.buckets.entry(bucket_of_us(us)).or_default() += 1;
    }

    /// Everything that was counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// How many took longer than the end of `bucket`.
    #[must_use]
    pub fn above(&self, bucket: u8) -> u64 {
        self.buckets
            .iter()
            .filter(|(index, _)| **index > bucket)
            .map(|(_, n)| n)
            .sum()
    }

    /// The end of the bucket that holds the `percent`-th percentile, in microseconds; `None` without
    /// any count, or where the last bucket holds it.
    #[must_use]
    pub fn percentile_us(&self, percent: u8) -> Option<u64> {
        let rank = (self.count() * u64::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.buckets
            .iter()
            .find(|(_, n)| {
                seen += **n;
                seen >= rank
            })
            .and_then(|(bucket, _)| bucket_end_us(*bucket))
    }

    /// What was counted since `earlier`, of the same epoch.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bucket| earlier.buckets.get(bucket).copied().unwrap_or(0);
        let buckets = self
            .buckets
            .iter()
            .map(|(bucket, n)| (*bucket, n.saturating_sub(before(bucket))))
            .filter(|(_, n)| *n > 0)
            .collect();
        Self { buckets }
    }
}

impl Traffic {
    /// What was counted since `earlier`; everything, when counting began anew meanwhile.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.epoch != earlier.epoch {
            return self.clone();
        }
        Self {
            epoch: self.epoch,
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            client_errors: self.client_errors.saturating_sub(earlier.client_errors),
            abandoned: self.abandoned.saturating_sub(earlier.abandoned),
            latency: self.latency.since(&earlier.latency),
            users: self
                .users
                .map(|users| users.since(earlier.users.unwrap_or_default())),
            instances: self
                .instances
                .iter()
                .map(|(id, counts)| {
                    let before = earlier.instances.get(id).copied().unwrap_or_default();
                    let since = InstanceCounts {
                        requests: counts.requests.saturating_sub(before.requests),
                        errors: counts.errors.saturating_sub(before.errors),
                    };
                    (id.clone(), since)
                })
                .collect(),
        }
    }
}

/// Dark traffic: copies of some of the users' requests to a slice, whose answers nobody gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Whose users' requests are copied.
    pub from: Slice,
    /// Who gets the copies.
    pub to: Slice,
    /// How many of the requests that may be copied are, in percent (1 to 100).
    pub percent: u8,
    /// Copy requests of these methods besides GET and HEAD. Opt in only what is safe to do twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Compare the answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
}

impl std::fmt::Display for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "copies of {} % of {}'s requests to {}",
            self.percent, self.from, self.to
        )?;
        if self.compare.is_some() {
            f.write_str(", answers compared")
        } else {
            Ok(())
        }
    }
}

/// What is compared of two answers: the status always, the body field by field when both are JSON
/// and byte by byte otherwise.
///
/// A second copy goes back to `from`: what differs between two answers of the same release is noise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(default))]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// Headers that are compared, in lower case.
    pub headers: Vec<String>,
    /// JSON fields that are not compared, such as `$.served_at` or `$.items[].id`.
    pub ignore: Vec<String>,
}

impl Limited for Compare {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::items("headers", 0..=NAMES_MAX, |it| it.headers.len()),
        Limit::items("ignore", 0..=NAMES_MAX, |it| it.ignore.len()),
    ];
}

impl Compare {
    /// Notes the rules that it breaks; it stands at `at`.
    pub(crate) fn faults(&self, at: &str, faults: &mut Faults) {
        faults.limits(at, self);
        let dollar = self.ignore.iter().all(|path| path.starts_with('$'));
        let rule = "must be paths such as $.served_at or $.items[].id";
        faults.unless(dollar, &format!("{at}.ignore"), rule);
    }
}

/// What became of the copies since `epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mirrored {
    /// When counting began, in Unix milliseconds.
    pub epoch: u64,
    /// Copies that were sent.
    pub copies: u64,
    /// Copies that were not sent, because too many were under way.
    pub dropped: u64,
    /// Copies that got no answer, or a 5xx.
    pub errors: u64,
    /// Requests of which all three answers were compared.
    pub compared: u64,
    /// Of these, requests where some field differed in the copy and not in the second copy to the
    /// slice of the users.
    pub differing: u64,
    /// Of these, requests where some field differed between two answers of the users' slice and
    /// not in the copy: what chance alone does.
    pub noisy: u64,
    /// The fields that differed, at most [`FIELDS_MAX`]: `status`, `header x`, `$.a.b`, `$.list[].c`.
    pub fields: BTreeMap<String, Difference>,
}

/// How often one field differed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// Between the users' answer and the copy's.
    pub differed: u64,
    /// Between the users' answer and the second one of the same slice.
    pub noise: u64,
    /// One pair of values, cut to a readable length: the users', the copy's.
    pub example: Option<(String, String)>,
}

/// Most fields that are kept of all differences.
pub const FIELDS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_first_bucket_that_holds_it() {
        for us in (0..3000).chain([10_000, 1_000_000, 60_000_000, u64::MAX]) {
            let first =
                (0..BUCKET_LAST).find(|bucket| bucket_end_us(*bucket).is_some_and(|end| us <= end));
            assert_eq!(bucket_of_us(us), first.unwrap_or(BUCKET_LAST), "{us} us");
        }
    }

    #[test]
    fn buckets_grow_by_a_fifth() {
        for bucket in 0..BUCKET_LAST - 1 {
            let ends = bucket_end_us(bucket).zip(bucket_end_us(bucket + 1));
            let (end, next) = ends.expect("both have an end");
            let growth = next as f64 / end as f64;
            assert!((1.18..1.20).contains(&growth), "{bucket}: {growth}");
        }
    }

    #[test]
    fn percentiles_come_from_the_bucket_that_holds_them() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|ms| histogram.add_us(ms * 1000));
        let median = histogram.percentile_us(50).expect("there are counts");
        assert!((50_000..60_000).contains(&median), "{median}");
        assert_eq!(Histogram::default().percentile_us(50), None);
    }

    #[test]
    fn a_new_epoch_counts_from_nothing() {
        let traffic = |epoch, requests| Traffic {
            epoch,
            requests,
            ..Traffic::default()
        };
        assert_eq!(traffic(1, 9).since(&traffic(1, 4)).requests, 5);
        assert_eq!(traffic(2, 3).since(&traffic(1, 4)).requests, 3);
    }
}
