//! From where a request comes, through how many proxies it may.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};
use operations::sign_in::prefix_of;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Most addresses of the header that are read, from the right.
const READ_MAX: usize = 64;

/// The address that a request comes from; of IPv6 the first 64 bits, which belong to one household.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl Origin {
    /// Where a request of `peer` is from. Each of `hops` proxies that are trusted added the address at its
    /// other end to the right of the header; what stands left of those may be anything. Without a proxy, or
    /// with less than they add, it is the peer.
    pub(crate) fn of(headers: &HeaderMap, peer: IpAddr, hops: usize) -> Self {
        let told = hops
            .checked_sub(1)
            .and_then(|behind| from_the_right(headers, behind));
        Self(prefix_of(told.unwrap_or(peer)))
    }
}

fn from_the_right(headers: &HeaderMap, behind: usize) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let lines = lines.into_iter().rev();
    let texts = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    texts.take(READ_MAX).nth(behind).and_then(address)
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse().ok().map(|it: std::net::SocketAddr| it.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(lines: &[&str], hops: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let peer = "10.0.0.9".parse().unwrap();
        Origin::of(&headers, peer, hops).0.to_string()
    }

    #[test]
    fn only_what_trusted_proxies_added_counts() {
        for (lines, hops, wanted) in [
            (&["6.6.6.6"][..], 0, "10.0.0.9"),
            (&["6.6.6.6, 1.2.3.4"], 1, "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.0.0.1"], 2, "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4", "10.0.0.1"], 2, "1.2.3.4"),
            (&["1.2.3.4"], 2, "10.0.0.9"),
            (&[], 1, "10.0.0.9"),
            (&["1.2.3.4, unknown"], 1, "10.0.0.9"),
            (&["1.2.3.4:5678"], 1, "1.2.3.4"),
            (&["[2001:db8:1:2:3::4]:443"], 1, "2001:db8:1:2::"),
            (&["2001:db8:1:2:3::4"], 1, "2001:db8:1:2::"),
        ] {
            assert_eq!(origin(lines, hops), wanted, "{lines:?} {hops}");
        }
    }
}
