//! Who may do what: principals, rights, roles, grants, and the one decision over them.
//!
//! ```text
//! principal + right + target --may(grants, now)--> Allowed (by which grant) | Denied (why)
//! ```
//!
//! Default deny: a grant allows, nothing forbids. The target comes from what is stored (the owner of
//! the service, the type of the environment), never from the words of a request. What a token may
//! do is at most what its owner may do now.
//!
//! Invariant: only [`may`] makes an [`Allowed`], so whatever needs one was checked.

mod decision;
mod grant;
mod password;
mod person;
mod principal;
mod role;
mod secret;
#[cfg(test)]
mod tests;
mod visible;

pub use decision::{Allowed, Denied, Facts, Missing, may};
pub use grant::{Grant, GrantId, Scope, Subject, Target};
pub use password::{PASSWORD_LEN_MAX, PASSWORD_LEN_MIN, password_fault};
pub use person::{GroupName, OWNER, PersonName, PersonNameError};
pub use principal::{Principal, Reach, Resource, SessionId, TokenId, Via, Who};
pub use role::{Right, Role};
pub use secret::{SECRET_BYTES, is_token, token_of};
pub use visible::Visible;
