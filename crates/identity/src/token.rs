//! Tokens: whether one counts, and what it says.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{TimeDelta, Utc};
use openidconnect::{
    ClaimsVerificationError as Wrong, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg},
};
use operations::sign_in::ProviderRefused;
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of two machines may differ, in seconds.
const SKEW_S: i64 = 60;
/// Signatures that only the one with the private key can make.
const ALGORITHMS: [Alg; 9] = [
    Alg::RsaSsaPkcs1V15Sha256,
    Alg::RsaSsaPkcs1V15Sha384,
    Alg::RsaSsaPkcs1V15Sha512,
    Alg::RsaSsaPssSha256,
    Alg::RsaSsaPssSha384,
    Alg::RsaSsaPssSha512,
    Alg::EcdsaP256Sha256,
    Alg::EcdsaP384Sha384,
    Alg::EdDsa,
];

/// What a token has to fit.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// `None` where a token answers no question of a browser.
    pub(crate) nonce: Option<&'a str>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    kid: Option<String>,
}

/// The id of the key that signed a token, as the token says.
pub(crate) fn key_id(token: &str) -> Result<Option<String>, ProviderRefused> {
    let head: Head = part(token, 0)?;
    Ok(head.kid)
}

/// What a token says, once it is known that it counts.
pub(crate) fn verified(
    text: &str,
    keys: CoreJsonWebKeySet,
    wanted: &Wanted<'_>,
) -> Result<Map<String, Value>, ProviderRefused> {
    let token: CoreIdToken = text.parse().map_err(|_| ProviderRefused::Malformed)?;
    let issuer = IssuerUrl::new(wanted.issuer.to_owned());
    let issuer = issuer.map_err(|_| ProviderRefused::WrongIssuer)?;
    let skew = TimeDelta::seconds(SKEW_S);
    let client = ClientId::new(wanted.client_id.to_owned());
    let verifier = CoreIdTokenVerifier::new_public_client(client, issuer, keys)
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || Utc::now() - skew)
        .set_issue_time_verifier_fn(move |issued| match issued <= Utc::now() + skew {
            true => Ok(()),
            false => Err("it was issued in the future".to_owned()),
        });
    let checked = match wanted.nonce {
        Some(nonce) => token
            .claims(&verifier, &Nonce::new(nonce.to_owned()))
            .map(|_| ()),
        None => token
            .claims(&verifier, |_: Option<&Nonce>| Ok(()))
            .map(|_| ()),
    };
    checked.map_err(|error| {
        tracing::warn!(%error, "a token of an identity provider is refused");
        refused(&error)
    })?;
    let claims: Map<String, Value> = part(text, 1)?;
    let begins = claims.get("nbf").and_then(Value::as_i64);
    match begins.is_some_and(|begins| begins > (Utc::now() + skew).timestamp()) {
        true => Err(ProviderRefused::Expired),
        false => Ok(claims),
    }
}

fn refused(error: &Wrong) -> ProviderRefused {
    use SignatureVerificationError as Signature;
    match error {
        Wrong::Expired(_) => ProviderRefused::Expired,
        Wrong::InvalidAudience(_) => ProviderRefused::WrongAudience,
        Wrong::InvalidIssuer(_) => ProviderRefused::WrongIssuer,
        Wrong::InvalidNonce(_) => ProviderRefused::WrongNonce,
        Wrong::InvalidSubject(_) => ProviderRefused::WrongSubject,
        Wrong::SignatureVerification(Signature::NoMatchingKey | Signature::AmbiguousKeyId(_)) => {
            ProviderRefused::UnknownKey
        }
        Wrong::SignatureVerification(_) => ProviderRefused::BadSignature,
        _ => ProviderRefused::Malformed,
    }
}

/// One of the parts of a token that are JSON: its head, or its claims.
fn part<T: serde::de::DeserializeOwned>(token: &str, number: usize) -> Result<T, ProviderRefused> {
    let bytes = token.split('.').nth(number);
    let bytes = bytes.and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
    let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.ok_or(ProviderRefused::Malformed)
}
