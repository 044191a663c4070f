//! How a router is set up, and what it allows.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    time::Duration,
};

use domain::time::UnixMs;

use crate::pass::PassKey;

/// How a router is set up.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Number of threads; `None` means one per core.
    pub threads: Option<NonZeroUsize>,
    /// How much time and memory users and instances may take.
    pub limits: Limits,
    /// How testers' passes are checked; without it every pass is ignored.
    pub passes: Option<PassCheck>,
}

/// How testers' passes are checked.
#[derive(Debug, Clone)]
pub struct PassCheck {
    /// The key that they were signed with.
    pub key: PassKey,
    /// The time of day, by which they expire.
    pub clock: fn() -> UnixMs,
}

/// How much time and memory users and instances may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of users' connections. Further ones wait in the kernel, and idle ones end
    /// soon to make room.
    pub connections: usize,
    /// Maximum size of a request's header, in bytes. A larger one is answered with 431.
    pub header_bytes: usize,
    /// Maximum number of header fields in a request. More are answered with 431.
    pub headers: usize,
    /// How long the header of a request may take to arrive. It may take half as long again before
    /// this is noticed.
    pub header_timeout: Duration,
    /// How long a user's connection may stay without a request. Longer than the 90 s after which
    /// common clients close their connections, so that the router does not close one that a client
    /// is about to use.
    pub idle_timeout: Duration,
    /// How long it may take to connect to an instance.
    pub connect_timeout: Duration,
    /// How long an instance may take to begin its answer, and a user to send the next 4 KiB of a
    /// request's body, or the rest of it.
    pub first_byte_timeout: Duration,
    /// How long an idle connection to an instance is kept. Shorter than the 5 s of common servers
    /// (Node.js, uvicorn, Apache), so that an instance does not close one that is about to be used.
    pub upstream_idle_timeout: Duration,
    /// Maximum number of idle connections to instances, per thread.
    pub upstream_idle: usize,
    /// Maximum number of requests of one mirror that are being copied at once. Further ones are
    /// dropped, and counted.
    pub copies: usize,
    /// How long a copy of a request may take. An instance that drains waits for its copies, so this
    /// should be shorter than any drain.
    pub copy_timeout: Duration,
}

impl Default for RouterConfig {
    /// Listens on a free port of 127.0.0.1 and ignores all passes.
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            address,
            threads: None,
            limits: Limits::default(),
            passes: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_bytes: 64 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(60),
            upstream_idle_timeout: Duration::from_secs(4),
            upstream_idle: 1024,
            copies: 64,
            copy_timeout: Duration::from_secs(5),
        }
    }
}

/// File descriptors that are never given to users: listener, log, control, copies, and room for what
/// the libraries open.
const RESERVED: u64 = 256;
/// The share of the other descriptors for users and as many requests of theirs, in percent; the rest
/// is for idle connections to instances.
const FOR_USERS_PERCENT: u64 = 80;

impl Limits {
    /// The usual limits, for a process with `threads` threads that may open `descriptors` files:
    /// users can never take all of them.
    #[must_use]
    pub fn within(descriptors: u64, threads: NonZeroUsize) -> Self {
        let usual = Self::default();
        let spare = descriptors.saturating_sub(RESERVED);
        let users = spare * FOR_USERS_PERCENT / 100;
        let at_most = |usual: usize, n: u64| usize::try_from(n).unwrap_or(usual).clamp(1, usual);
        let threads = u64::try_from(threads.get()).unwrap_or(u64::MAX);
        Self {
            connections: at_most(usual.connections, users / 2),
            upstream_idle: at_most(usual.upstream_idle, (spare - users) / threads),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_never_get_all_descriptors() {
        let threads = NonZeroUsize::new(4).expect("not 0");
        for (descriptors, connections, idle) in [
            (1024, 307, 38),
            (4096, 1536, 192),
            (1_048_576, 10_000, 1024),
            (0, 1, 1),
        ] {
            let limits = Limits::within(descriptors, threads);
            let found = (limits.connections, limits.upstream_idle);
            assert_eq!(found, (connections, idle), "{descriptors}");
        }
    }
}
