//! How often one may try to sign in: by account and address, by account, and by address.
//!
//! Invariant: nobody locks another one out. Where somebody signed in before, only their own attempts count;
//! and sessions and tokens are never limited.
//! Invariant: what is kept does not grow without bounds.

use std::{
    collections::BTreeSet,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

use super::SignInRefused;

/// Attempts for an account from one address at once, and the time until there is one more.
const PAIR: (u32, Duration) = (5, Duration::from_secs(30));
/// The same for an account, from addresses where it never signed in.
const ACCOUNT: (u32, Duration) = (30, Duration::from_secs(5));
/// The same for an address, whatever the account.
const ADDRESS: (u32, Duration) = (30, Duration::from_secs(2));
/// Most keys that are remembered before those that are back to normal are forgotten.
const KEYS_MAX: usize = 10_000;
/// Longest name that is told from others, in bytes.
const NAME_LEN_MAX: usize = 64;

/// An account and an address.
type Pair = (String, IpAddr);

/// What was tried lately.
#[derive(Debug)]
pub(crate) struct Limits {
    pairs: DefaultKeyedRateLimiter<Pair>,
    accounts: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    /// From where which account signed in before.
    known: Mutex<BTreeSet<Pair>>,
    clock: DefaultClock,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pairs: limiter(PAIR),
            accounts: limiter(ACCOUNT),
            addresses: limiter(ADDRESS),
            known: Mutex::default(),
            clock: DefaultClock::default(),
        }
    }
}

fn limiter<K: Hash + Eq + Clone>((at_once, pause): (u32, Duration)) -> DefaultKeyedRateLimiter<K> {
    let at_once = NonZeroU32::new(at_once).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(pause).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::keyed(quota.allow_burst(at_once))
}

impl Limits {
    /// One attempt for the account `name`.
    pub(crate) fn attempt(&self, name: &str, from: IpAddr) -> Result<(), SignInRefused> {
        self.attempt_from(from)?;
        let name: String = name.chars().take(NAME_LEN_MAX).collect();
        let pair = (name.clone(), prefix_of(from));
        self.check(&self.pairs, &pair)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&pair) {
            return Ok(());
        }
        drop(known);
        self.check(&self.accounts, &name)
    }

    /// One attempt that names no account.
    pub(crate) fn attempt_from(&self, from: IpAddr) -> Result<(), SignInRefused> {
        self.check(&self.addresses, &prefix_of(from))
    }

    /// Remembers that an account signed in from there.
    pub(crate) fn succeeded(&self, name: &str, from: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_MAX {
            known.pop_first();
        }
        known.insert((name.to_owned(), prefix_of(from)));
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), SignInRefused> {
        if limiter.len() > KEYS_MAX {
            limiter.retain_recent();
        }
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            SignInRefused::TooOften {
                retry_after_s: wait.as_secs() + 1,
            }
        })
    }
}

/// The part of an address that one household or machine has to itself: all of IPv4, and the first 64 bits of
/// IPv6.
#[must_use]
pub fn prefix_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn guessing_one_account_from_one_address_ends_soon() {
        let limits = Limits::default();
        for _ in 0..PAIR.0 {
            assert_eq!(limits.attempt("ann", at(1)), Ok(()));
        }
        let refused = limits.attempt("ann", at(1)).unwrap_err();
        let SignInRefused::TooOften { retry_after_s } = refused else {
            panic!("{refused}");
        };
        assert!((1..=31).contains(&retry_after_s), "{retry_after_s}");
        assert_eq!(limits.attempt("ann", at(2)), Ok(()), "from elsewhere");
        assert_eq!(limits.attempt("bob", at(1)), Ok(()), "somebody else");
    }

    #[test]
    fn trying_many_accounts_from_one_address_ends_too() {
        let limits = Limits::default();
        let tried = (0..100).filter(|n| limits.attempt(&format!("p{n}"), at(1)).is_ok());
        assert_eq!(tried.count(), 30);
    }

    #[test]
    fn an_attacker_with_many_addresses_does_not_lock_anybody_out() {
        let limits = Limits::default();
        limits.succeeded("ann", at(200));
        let tried = (0..100).filter(|n| limits.attempt("ann", at(*n)).is_ok());
        assert_eq!(tried.count(), 30, "the account is protected");
        assert_eq!(
            limits.attempt("ann", at(200)),
            Ok(()),
            "where she was before"
        );
    }

    #[test]
    fn addresses_of_one_household_are_one() {
        let one: IpAddr = "2001:db8:1:2:3::4".parse().unwrap();
        let other: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert_eq!(prefix_of(one), prefix_of(other));
        assert_ne!(prefix_of(one), prefix_of(neighbour));
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        assert_eq!(prefix_of(mapped), at(1));
    }
}
