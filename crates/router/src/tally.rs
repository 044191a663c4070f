//! Users counted once each, where users stick to a slice: who was seen, who met an
//! error, and who got a 4xx.
//!
//! A user is a bit, found by the user's point. Two users share a bit at times: of 10,000 users about
//! 50 do. The bits are made when the first user is counted, and begin empty again with each
//! [`UserTally::forget`], so that each share of users is judged by all who have it; the counts go on.
//!
//! Invariant: counting takes no lock; a user who was counted costs one load. Counts only grow.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use domain::traffic::UserCounts;

use crate::counters::{add, get};

/// How many users are told apart, as a power of two.
const BITS_LOG2: u32 = 20;

/// The users of one slice. Keep one for as long as the slice is there, and give it to each of its
/// instances.
#[derive(Debug, Default)]
pub struct UserTally {
    seen: Bits,
    failed: Bits,
    client_failed: Bits,
}

impl UserTally {
    /// Counts the user at `point`, unless it was counted since the last [`Self::forget`].
    pub fn see(&self, point: u64) {
        self.seen.mark(point);
    }

    /// Counts the user at `point` as one that met an error.
    pub fn fail(&self, point: u64) {
        self.see(point);
        self.failed.mark(point);
    }

    /// Counts the user at `point` as one that got a 4xx.
    pub fn fail_client(&self, point: u64) {
        self.see(point);
        self.client_failed.mark(point);
    }

    /// Counts every user once more from now on.
    pub fn forget(&self) {
        self.seen.clear();
        self.failed.clear();
        self.client_failed.clear();
    }

    /// The counts so far.
    #[must_use]
    pub fn read(&self) -> UserCounts {
        // Failures first: whoever failed was seen before.
        let failed = get(&self.failed.count);
        let client_failed = get(&self.client_failed.count);
        UserCounts {
            seen: get(&self.seen.count),
            failed,
            client_failed,
        }
    }
}

/// A set of users, and how many were ever added.
#[derive(Debug, Default)]
struct Bits {
    words: OnceLock<Box<[AtomicU64]>>,
    count: AtomicU64,
}

impl Bits {
    fn mark(&self, point: u64) {
        let words = self.words.get_or_init(|| {
            let words = (0..(1_u32 << BITS_LOG2) / u64::BITS).map(|_| AtomicU64::new(0));
            words.collect()
        });
        // A slice has a part of the line of points only: mixed, they are spread over all bits.
        let mixed = (point ^ (point >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let at = mixed >> (u64::BITS - BITS_LOG2);
        let word = usize::try_from(at / u64::from(u64::BITS)).ok();
        let bit = 1_u64 << (at % u64::from(u64::BITS));
        let Some(word) = word.and_then(|at| words.get(at)) else {
            return;
        };
        let known = get(word) & bit != 0 || word.fetch_or(bit, Ordering::Relaxed) & bit != 0;
        if !known {
            add(&self.count, 1);
        }
    }

    fn clear(&self) {
        for word in self.words.get().into_iter().flatten() {
            word.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_counts_once_however_often_it_comes() {
        let tally = UserTally::default();
        assert_eq!(tally.read(), UserCounts::default());
        for _ in 0..3 {
            tally.see(5 << 32);
            tally.see(6 << 32);
            tally.fail(6 << 32);
            tally.fail_client(6 << 32);
            tally.fail_client(7 << 32);
        }
        let counted = |seen, failed, client_failed| UserCounts {
            seen,
            failed,
            client_failed,
        };
        assert_eq!(tally.read(), counted(3, 1, 2));
        tally.forget();
        tally.fail(5 << 32);
        let again = counted(4, 2, 2);
        assert_eq!(tally.read(), again, "each share of users begins again");
    }

    /// Also those of a slice with one percent of the users, whose points are close together.
    #[test]
    fn few_users_share_a_bit() {
        let tally = UserTally::default();
        let step = u64::MAX / 1_000_000;
        (0..10_000).for_each(|user| tally.see((user * step) & !0xffff_ffff));
        let seen = tally.read().seen;
        assert!((9_900..=10_000).contains(&seen), "{seen}");
    }
}
