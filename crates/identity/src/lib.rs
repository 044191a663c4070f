//! Identity providers that speak OpenID Connect: the code flow with PKCE.
//!
//! ```text
//! settings --> OpenId -- http (its hosts only, bounded) --> the issuer: what it offers, its keys, its tokens
//!                   `--> token: signature, issuer, audience, nonce, time --> claims --> who somebody is
//! ```
//!
//! Invariant: nothing of a token counts before its signature and its claims were checked.
//! Invariant: an issuer is asked at its own hosts only, without following it elsewhere, for 5 seconds and
//! 1 MB at most.

mod claims;
mod http;
mod issuer;
mod open_id;
mod settings;
mod token;

pub use open_id::OpenId;
pub use settings::{Settings, SettingsError, load};
