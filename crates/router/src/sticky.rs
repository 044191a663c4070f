//! Sticky users: each has a fixed point between 0 and 1, and the slices share the line between
//! them.
//!
//! Blue has `[0, its weight)`, green the rest. A slice that grows takes over users in the order of
//! their points, so no user is moved back.
//!
//! Invariant: the point of a header's value is the same on every machine, in every version and
//! after every restart; the point of a cookie is in the cookie.
//! Invariant: a cookie of another place is ignored.

use domain::catalogue::Stickiness;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::message::cookies;

/// The name of the cookie that holds a user's point.
const COOKIE: &str = "pointsman";

/// How the users of one place are recognised.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// `service.environment`.
    place: String,
    by: By,
}

#[derive(Debug, Clone)]
enum By {
    /// The value of the cookie begins with this number, which differs from place to place.
    Cookie {
        place: u32,
        seconds: u32,
    },
    Header(HeaderName),
}

/// A user's point, as a fraction of 2^64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Point {
    /// The user was recognised.
    Known(u64),
    /// The user is new: the point, and the cookie that keeps it.
    New(u64, HeaderValue),
    /// The user is not recognised.
    Unknown,
}

impl Sticky {
    /// How users of `place` (`service.environment`) are recognised; `None` when the name is not a
    /// header's.
    #[must_use]
    pub fn new(place: &str, stickiness: &Stickiness) -> Option<Self> {
        let by = match stickiness {
            Stickiness::Cookie { seconds } => By::Cookie {
                place: high(hash(&["cookie", place])),
                seconds: *seconds,
            },
            Stickiness::Header { name } => {
                By::Header(HeaderName::from_bytes(name.as_bytes()).ok()?)
            }
        };
        Some(Self {
            place: place.to_owned(),
            by,
        })
    }

    /// The point of the user who sent `headers`; a new user gets the one that `new` returns.
    pub(crate) fn point(&self, headers: &HeaderMap, new: impl FnOnce() -> u64) -> Point {
        match &self.by {
            By::Header(name) => headers.get(name).map_or(Point::Unknown, |value| {
                Point::Known(hash(&[self.place.as_bytes(), value.as_bytes()]))
            }),
            By::Cookie { place, seconds } => {
                let mut known = cookies::values(headers, COOKIE).filter_map(parse);
                if let Some((_, point)) = known.find(|(of, _)| of == place) {
                    return Point::Known(u64::from(point) << 32);
                }
                let point = high(new());
                let cookie = format!(
                    "{COOKIE}={place:08x}{point:08x}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}"
                );
                HeaderValue::try_from(cookie).map_or(Point::Unknown, |cookie| {
                    Point::New(u64::from(point) << 32, cookie)
                })
            }
        }
    }
}

/// Place and point of a cookie.
fn parse(value: &[u8]) -> Option<(u32, u32)> {
    let digits = value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit);
    let text = str::from_utf8(value).ok().filter(|_| digits)?;
    let number = u64::from_str_radix(text, 16).ok()?;
    Some((high(number), high(number << 32)))
}

/// The first 32 bits.
fn high(number: u64) -> u32 {
    u32::try_from(number >> 32).unwrap_or(u32::MAX)
}

/// The first eight bytes of SHA-256 over the parts, each followed by a byte that occurs in no name
/// and no header.
fn hash(parts: &[impl AsRef<[u8]>]) -> u64 {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
        sha.update([0]);
    }
    let digest: [u8; 32] = sha.finalize().into();
    let (first, _) = digest
        .split_first_chunk()
        .expect("32 bytes are more than 8");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_cookie(place: &str) -> Sticky {
        Sticky::new(place, &Stickiness::Cookie { seconds: 60 }).expect("a good name")
    }

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let value = HeaderValue::try_from(value).expect("text");
        HeaderMap::from_iter([(HeaderName::from_static(name), value)])
    }

    #[test]
    fn a_cookie_brings_its_point_back_and_only_to_its_place() {
        let cart = by_cookie("cart.live");
        let point = 0xdead_beef_0000_0000;
        let Point::New(at, cookie) = cart.point(&HeaderMap::new(), || point + 77) else {
            panic!("a new user");
        };
        assert_eq!(at, point, "what is served is what the cookie says");
        let text = cookie.to_str().expect("text");
        let (pair, rest) = text.split_once("; ").expect("attributes");
        assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
        let known = |sticky: &Sticky, cookie: &str| sticky.point(&with("cookie", cookie), || 0);
        assert_eq!(known(&cart, pair), Point::Known(point));
        let among = format!("a=b; pointsman=zz; {pair}; c");
        assert_eq!(known(&cart, &among), Point::Known(point));
        for other in [
            pair.replace("dead", "xyzw"),
            format!("{pair}0"),
            "pointsman=".to_owned(),
        ] {
            assert!(matches!(known(&cart, &other), Point::New(0, _)), "{other}");
        }
        assert!(matches!(
            known(&by_cookie("cart.test"), pair),
            Point::New(0, _)
        ));
    }

    /// The value is fixed: users must not move because of a new version of this program.
    #[test]
    fn a_header_has_the_same_point_for_ever() {
        let header = Stickiness::Header {
            name: "X-User".to_owned(),
        };
        let sticky = Sticky::new("cart.live", &header).expect("a good name");
        let point = |user| sticky.point(&with("x-user", user), || 0);
        assert_eq!(point("alice"), Point::Known(0x7e64_cc2d_8fc0_20e8));
        assert_ne!(point("alice"), point("bob"));
        assert_eq!(sticky.point(&HeaderMap::new(), || 7), Point::Unknown);
        let elsewhere = Sticky::new("cart.test", &header).expect("a good name");
        assert_ne!(
            elsewhere.point(&with("x-user", "alice"), || 0),
            point("alice")
        );
        let nameless = Stickiness::Header {
            name: "no name".to_owned(),
        };
        assert!(Sticky::new("cart.live", &nameless).is_none());
    }
}
