//! Passes for testers: signed tokens that let a request into one slice of one place, even one that
//! no user sees yet.
//!
//! A token is `payload.mac`, both in base64url without padding. The payload is text: version,
//! place, slice, and the expiry in Unix seconds, such as `1 cart.live green 1764000000`. The MAC is
//! HMAC-SHA-256 over the encoded payload.
//!
//! Invariant: nothing of a token is read before its MAC has been verified, in constant time.
//! Invariant: neither a key nor a token is ever printed.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{slice::Slice, time::UnixMs};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The header in which a request carries its pass.
pub const HEADER: &str = "x-pointsman-pass";
/// The cookie in which a browser carries it.
pub const COOKIE: &str = "pointsman-pass";
/// Maximum lifetime of a pass, in seconds: seven days.
pub const SECONDS_MAX: u32 = 7 * 24 * 60 * 60;
/// Length of a key, in bytes.
pub const KEY_LEN: usize = 32;

/// Longest token that is read, in bytes; the longest that is made has half of it.
const TOKEN_LEN_MAX: usize = 512;
const VERSION: &str = "1";

/// What passes are signed and checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PassKey([u8; KEY_LEN]);

/// Why a pass is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It was not signed with this key.
    Invalid,
    /// It is for another place.
    Elsewhere,
    /// It has expired.
    Expired,
}

impl Ignored {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Invalid, Self::Elsewhere, Self::Expired];

    /// The reason in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Elsewhere => "elsewhere",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Debug for PassKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassKey(..)")
    }
}

impl PassKey {
    /// The key of these bytes, which must stay secret.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// A token for one slice of a place (`service.environment`), valid until `expires`, rounded
    /// down to whole seconds.
    #[must_use]
    pub fn sign(&self, place: &str, slice: Slice, expires: UnixMs) -> String {
        let end = expires.since_ms(UnixMs(0)) / 1000;
        let payload = URL_SAFE_NO_PAD.encode(format!("{VERSION} {place} {slice} {end}"));
        let mac = URL_SAFE_NO_PAD.encode(self.mac(payload.as_bytes()).finalize().into_bytes());
        format!("{payload}.{mac}")
    }

    /// The slice of `place` that a token opens at the time `now`.
    ///
    /// # Errors
    /// Why the token is ignored.
    pub fn check(&self, token: &[u8], place: &str, now: UnixMs) -> Result<Slice, Ignored> {
        let payload = self.payload(token).ok_or(Ignored::Invalid)?;
        let parts: Vec<&str> = payload.split(' ').collect();
        let [VERSION, of, slice, end] = parts[..] else {
            return Err(Ignored::Invalid);
        };
        let slice = [Slice::Blue, Slice::Green]
            .into_iter()
            .find(|known| known.to_string() == slice);
        let end: Option<u64> = end.parse().ok();
        let (slice, end) = slice.zip(end).ok_or(Ignored::Invalid)?;
        if of != place {
            return Err(Ignored::Elsewhere);
        }
        if now.since_ms(UnixMs(0)) / 1000 >= end {
            return Err(Ignored::Expired);
        }
        Ok(slice)
    }

    /// The payload of a token that was signed with this key.
    fn payload(&self, token: &[u8]) -> Option<String> {
        if token.len() > TOKEN_LEN_MAX {
            return None;
        }
        let at = token.iter().position(|byte| *byte == b'.')?;
        let (payload, mac) = (&token[..at], &token[at + 1..]);
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac(payload).verify_slice(&mac).ok()?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    /// What signs and checks the cookies of a place's users. No token can be one: its text has no
    /// colon.
    pub(crate) fn for_cookies(&self, place: &str) -> Hmac<Sha256> {
        self.mac(b"cookie:").chain_update(place).chain_update(":")
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0)
            .expect("HMAC takes keys of any length")
            .chain_update(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_764_000_000_000);

    fn key(byte: u8) -> PassKey {
        PassKey::from_bytes([byte; KEY_LEN])
    }

    #[test]
    fn a_pass_is_good_for_its_slice_its_place_and_its_time() {
        let token = key(7).sign("cart.live", Slice::Green, NOW.plus_ms(60_000));
        let check = |place, ms| key(7).check(token.as_bytes(), place, NOW.plus_ms(ms));
        assert_eq!(check("cart.live", 0), Ok(Slice::Green));
        assert_eq!(check("cart.live", 59_999), Ok(Slice::Green));
        assert_eq!(check("cart.live", 60_000), Err(Ignored::Expired));
        assert_eq!(check("cart.staging", 0), Err(Ignored::Elsewhere));
        let longest = format!("{}.{}", "a".repeat(63), "b".repeat(63));
        let token = key(7).sign(&longest, Slice::Green, UnixMs(i64::MAX));
        assert!(token.len() <= TOKEN_LEN_MAX / 2 + 1, "{}", token.len());
    }

    #[test]
    fn what_we_did_not_sign_is_invalid() {
        let good = key(7).sign("cart.live", Slice::Blue, NOW.plus_ms(60_000));
        let (payload, mac) = good.split_once('.').unwrap();
        let other = key(7).sign("cart.live", Slice::Green, NOW.plus_ms(60_000));
        let (other, _) = other.split_once('.').unwrap();
        for token in [
            String::new(),
            ".".to_owned(),
            payload.to_owned(),
            format!("{payload}."),
            format!(".{mac}"),
            format!("{other}.{mac}"),
            format!("{payload}.{}", &mac[..mac.len() - 4]),
            format!("{good}A"),
            format!("{good}."),
            format!("{good}="),
            key(8).sign("cart.live", Slice::Blue, NOW.plus_ms(60_000)),
            "a".repeat(TOKEN_LEN_MAX + 1),
        ] {
            let checked = key(7).check(token.as_bytes(), "cart.live", NOW);
            assert_eq!(checked, Err(Ignored::Invalid), "{token:?}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1;
            let checked = key(7).check(&bytes, "cart.live", NOW);
            assert_eq!(checked, Err(Ignored::Invalid), "{at}");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", key(7)), "PassKey(..)");
    }
}
