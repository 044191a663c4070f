//! What is kept for a session, sealed with its secret: the database alone does not open it.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};

use crate::Error;

const PURPOSE: &[u8] = b"pointsman: what is kept for a session";

/// The key that a secret makes. The secret is random, so it needs no stretching.
fn key(secret: &str) -> Result<LessSafeKey, Error> {
    let made = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret.as_bytes());
    let purpose = [PURPOSE];
    let expanded = made.expand(&purpose, &CHACHA20_POLY1305);
    let key = expanded.map_err(|_| failed("making a key"))?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

fn failed(doing: &'static str) -> Error {
    Error::Internal { doing }
}

/// `text`, readable with `secret` alone.
pub(super) fn seal(secret: &str, text: &str) -> Result<String, Error> {
    let mut sealed = [0; NONCE_LEN];
    getrandom::fill(&mut sealed).map_err(|_| failed("making a nonce"))?;
    let nonce = Nonce::assume_unique_for_key(sealed);
    let mut inside = text.as_bytes().to_vec();
    key(secret)?
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut inside)
        .map_err(|_| failed("sealing"))?;
    Ok(BASE64_STANDARD.encode([&sealed[..], &inside[..]].concat()))
}

/// What [`seal`] sealed with the same secret.
pub(super) fn open(secret: &str, sealed: &str) -> Option<String> {
    let mut sealed = BASE64_STANDARD.decode(sealed).ok()?;
    let (nonce, inside) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let text = key(secret).ok()?.open_in_place(nonce, Aad::empty(), inside);
    String::from_utf8(text.ok()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens() {
        let sealed = seal("secret", "a refresh token").unwrap();
        assert_ne!(sealed, seal("secret", "a refresh token").unwrap());
        assert!(!sealed.contains("refresh"));
        assert_eq!(open("secret", &sealed).as_deref(), Some("a refresh token"));
        assert_eq!(open("another", &sealed), None);
        for broken in ["", "x", "AAAA", &sealed[..sealed.len() - 4]] {
            assert_eq!(open("secret", broken), None, "{broken}");
        }
    }
}
