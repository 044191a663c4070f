//! Signing in lately: what gives others a way in needs a session whose person proved who they are within
//! half an hour. A token proves it with each request, so it is not asked.

use domain::access::{Resource, Right, Via};

use super::{
    Desk, Error,
    desk::Permit,
    sign_in::{Password, SignInRefused},
};

/// A proof counts for this time, in milliseconds.
pub const FRESH_MS: u64 = 30 * 60 * 1000;

/// Whether somebody proved lately who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// They did.
    Fresh,
    /// Not lately; their password proves it.
    AskPassword,
    /// Not lately, and there is no password to ask for: they sign in again.
    AskSignIn,
}

impl Desk {
    /// Whether the principal proved lately who they are.
    ///
    /// # Errors
    /// [`Error::Denied`] when the credential no longer counts.
    pub async fn freshness(&self) -> Result<Freshness, Error> {
        let seeing = self.may_see(Right::View).await?;
        let Via::Session(id) = self.principal().via() else {
            return Ok(Freshness::Fresh);
        };
        let Some(proof) = seeing.store().proof(id).await? else {
            return Ok(Freshness::AskSignIn);
        };
        Ok(match seeing.now().since_ms(proof.at) < FRESH_MS {
            true => Freshness::Fresh,
            false if proof.has_password => Freshness::AskPassword,
            false => Freshness::AskSignIn,
        })
    }

    /// Proves by the password that it is still the principal who sits there. The limits of signing in hold.
    ///
    /// # Errors
    /// [`Error::SignIn`] when the password is wrong, or after too many attempts.
    pub async fn prove(&self, password: Password) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        let Via::Session(id) = self.principal().via() else {
            return Ok(());
        };
        let (name, from) = (self.principal().person(), self.principal().from());
        seeing.attempt(name.as_str(), from)?;
        let stored = seeing.store().password(name).await?;
        if !seeing.passwords().matches(password, stored).await? {
            seeing.refused("session.prove", name.as_str(), from);
            return Err(SignInRefused::Wrong.into());
        }
        Ok(seeing.store().prove_session(name, id, seeing.now()).await?)
    }

    /// As [`Desk::may`], for who proved lately who they are.
    pub(crate) async fn may_freshly(
        &self,
        right: Right,
        resource: Resource<'_>,
    ) -> Result<Permit, Error> {
        let permit = self.may(right, resource).await?;
        self.must_be_fresh().await?;
        Ok(permit)
    }

    /// Refuses who did not prove lately who they are.
    pub(crate) async fn must_be_fresh(&self) -> Result<(), Error> {
        if self.freshness().await? == Freshness::Fresh {
            return Ok(());
        }
        let (name, from) = (self.principal().name(), self.principal().from());
        self.own().refused("not_recent", name, from);
        Err(Error::NotRecent)
    }
}
