//! Sticky users: each has a fixed point between 0 and 1, and the slices share the line between
//! them.
//!
//! Blue has `[0, its weight)`, green the rest. A slice that grows takes over users in the order of
//! their points, so no user is moved back.
//!
//! Invariant: the point of a header's value is the same on every machine, in every version and
//! after every restart; the point of a cookie is in the cookie.
//! Invariant: a cookie that the router did not sign for this place is ignored, so no user can choose
//! a slice.

use std::fmt;

use domain::catalogue::Stickiness;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::{message::cookies, pass::PassKey};

/// The name of the cookie that holds a user's point.
const COOKIE: &str = "pointsman";
/// Length of a point in a cookie, in hexadecimal digits, and of its signature, in bytes.
const POINT_DIGITS: usize = 8;
const SIGNATURE_LEN: usize = 12;

/// How the users of one place are recognised.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// `service.environment`.
    place: String,
    by: By,
}

#[derive(Clone)]
enum By {
    /// A cookie, which is signed with a key of this place.
    Cookie {
        seconds: u32,
        signer: Hmac<Sha256>,
    },
    Header(HeaderName),
}

impl fmt::Debug for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie { seconds, .. } => write!(f, "Cookie {{ seconds: {seconds}, .. }}"),
            Self::Header(name) => write!(f, "Header({name})"),
        }
    }
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
    /// header's. Cookies are signed with `key`.
    #[must_use]
    pub fn new(place: &str, stickiness: &Stickiness, key: &PassKey) -> Option<Self> {
        let by = match stickiness {
            Stickiness::Cookie { seconds } => By::Cookie {
                seconds: *seconds,
                signer: key.for_cookies(place),
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
            By::Cookie { seconds, signer } => {
                let mut sent = cookies::values(headers, COOKIE);
                if let Some(point) = sent.find_map(|value| checked(value, signer)) {
                    return Point::Known(u64::from(point) << 32);
                }
                let point = high(new());
                let value = format!("{point:0POINT_DIGITS$x}");
                let signed = signer.clone().chain_update(&value).finalize().into_bytes();
                let signature = hex(&signed[..SIGNATURE_LEN]);
                let cookie = format!(
                    "{COOKIE}={value}{signature}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}"
                );
                HeaderValue::try_from(cookie).map_or(Point::Unknown, |cookie| {
                    Point::New(u64::from(point) << 32, cookie)
                })
            }
        }
    }
}

/// The point in a cookie that was signed by `signer`.
fn checked(value: &[u8], signer: &Hmac<Sha256>) -> Option<u32> {
    let (point, signature) = value.split_at_checked(POINT_DIGITS)?;
    let mut signed = [0; SIGNATURE_LEN];
    if signature.len() != 2 * SIGNATURE_LEN {
        return None;
    }
    for (byte, digits) in signed.iter_mut().zip(signature.chunks(2)) {
        *byte = u8::try_from(number(digits)?).ok()?;
    }
    signer
        .clone()
        .chain_update(point)
        .verify_truncated_left(&signed)
        .ok()?;
    number(point)
}

/// The number that lower-case hexadecimal digits stand for.
fn number(digits: &[u8]) -> Option<u32> {
    let plain = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let text = str::from_utf8(digits).ok();
    let text = text.filter(|_| digits.iter().all(plain))?;
    u32::from_str_radix(text, 16).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

    fn key(byte: u8) -> PassKey {
        PassKey::from_bytes([byte; crate::pass::KEY_LEN])
    }

    fn by_cookie(place: &str) -> Sticky {
        Sticky::new(place, &Stickiness::Cookie { seconds: 60 }, &key(7)).expect("a good name")
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
            pair.replace("dead", "dea0"),
            pair.to_uppercase(),
            format!("{pair}0"),
            pair[..pair.len() - 1].to_owned(),
            pair[..pair.len() - 2].to_owned(),
            "pointsman=".to_owned(),
            "pointsman=00000000".to_owned(),
            "pointsman=0123456789abcdef".to_owned(),
            format!("pointsman=00000000{}", "0".repeat(24)),
        ] {
            assert!(matches!(known(&cart, &other), Point::New(0, _)), "{other}");
        }
        let other = Sticky::new("cart.live", &Stickiness::Cookie { seconds: 60 }, &key(8));
        for other in [by_cookie("cart.test"), other.expect("a good name")] {
            assert!(matches!(known(&other, pair), Point::New(0, _)));
        }
    }

    /// The value is fixed: users must not move because of a new version of this program.
    #[test]
    fn a_header_has_the_same_point_for_ever() {
        let header = Stickiness::Header {
            name: "X-User".to_owned(),
        };
        let sticky = Sticky::new("cart.live", &header, &key(7)).expect("a good name");
        let point = |user| sticky.point(&with("x-user", user), || 0);
        assert_eq!(point("alice"), Point::Known(0x7e64_cc2d_8fc0_20e8));
        assert_ne!(point("alice"), point("bob"));
        assert_eq!(sticky.point(&HeaderMap::new(), || 7), Point::Unknown);
        let elsewhere = Sticky::new("cart.test", &header, &key(7)).expect("a good name");
        assert_ne!(
            elsewhere.point(&with("x-user", "alice"), || 0),
            point("alice")
        );
        let nameless = Stickiness::Header {
            name: "no name".to_owned(),
        };
        assert!(Sticky::new("cart.live", &nameless, &key(7)).is_none());
    }
}
