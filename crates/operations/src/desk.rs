//! The desk: operations as one principal sees them. Every use case is a method of [`Desk`] and begins
//! with its permission check.
//!
//! ```text
//! door --principal--> Operations::desk --> Desk::may(right, resource) --> Permit --> store, clouds, audit
//! ```
//!
//! Invariant: a [`Desk`] reaches nothing but through the permit that `Desk::may` returns, and an
//! audit event is made from a permit alone. So no use case compiles without its check:
//!
//! ```compile_fail,E0616
//! async fn unchecked(desk: &operations::Desk) {
//!     let _ = desk.operations.health().await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! async fn unchecked(desk: &operations::Desk) {
//!     let _ = desk.health().await;
//! }
//! ```

use std::ops::Deref;

use domain::access::{
    self, Allowed, Denied, Facts, Missing, Principal, Reach, Resource, Right, Visible,
};
use serde_json::{Value, json};
use store::Audit;

use crate::{Error, Operations};

/// Operations as one principal sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    operations: Operations,
    principal: Principal,
    /// The rights that can be asked for here, besides to view; `None`: any.
    only: Option<Vec<Right>>,
}

impl Desk {
    pub(super) fn new(operations: Operations, principal: Principal) -> Self {
        Self {
            operations,
            principal,
            only: None,
        }
    }

    /// The same desk, at which nothing can be done but what these rights allow, and to view.
    ///
    /// # Errors
    /// [`Error::Denied`] for a token that reads metrics only.
    pub async fn for_rights(self, rights: &[Right]) -> Result<Self, Error> {
        self.may_more_than_scrape(rights.first()).await?;
        Ok(Self {
            only: Some(rights.to_vec()),
            ..self
        })
    }

    /// The same desk, for what is the principal's own. What of others' they may manage is managed here too.
    ///
    /// # Errors
    /// [`Error::Denied`] for a token that reads metrics only.
    pub async fn for_what_is_own(self) -> Result<Self, Error> {
        self.may_more_than_scrape(None).await?;
        Ok(Self {
            only: Some(vec![Right::Administer]),
            ..self
        })
    }

    /// Checks that the principal may read the metrics: with a token for that, whose owner may view everything;
    /// or by viewing everything.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn may_scrape(&self) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        if *self.principal.reach() != Reach::Scrape {
            self.may(Right::View, Resource::Everything).await?;
            return Ok(());
        }
        let owner = Principal::asked_about(self.principal.who().clone());
        let (facts, now) = (seeing.facts(), seeing.now());
        access::may(&owner, Right::View, Resource::Everything, facts, now)?;
        Ok(())
    }

    async fn may_more_than_scrape(&self, right: Option<&Right>) -> Result<(), Error> {
        if *self.principal.reach() != Reach::Scrape {
            return Ok(());
        }
        self.may_see(Right::View).await?;
        let denied = Denied {
            principal: self.principal.name().to_owned(),
            right: right.copied().unwrap_or(Right::View),
            resource: "anything but metrics".to_owned(),
            missing: Missing::Reach,
        };
        self.refused(&denied);
        Err(Error::Denied(denied))
    }

    /// Who sits at it.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the principal may use `right` on `resource`: what [`Error::Denied`] would say, without
    /// trying. Faces ask it to show only what can be done.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn can(&self, right: Right, resource: Resource<'_>) -> Result<bool, Error> {
        Ok(self.missing(right, resource).await?.is_none())
    }

    /// What the principal is missing to use `right` on `resource`; `None`: nothing. Its sentence says who
    /// can help.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn missing(
        &self,
        right: Right,
        resource: Resource<'_>,
    ) -> Result<Option<Denied>, Error> {
        let facts = self.facts(resource).await?;
        let now = self.operations.now();
        Ok(access::may(&self.principal, right, resource, &facts, now).err())
    }

    /// Checks that the principal may use `right` on `resource`, as both are stored now. What they may not
    /// even see is as unknown as what is not there.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unknown`]; or when the store does not answer.
    pub(crate) async fn may(&self, right: Right, resource: Resource<'_>) -> Result<Permit, Error> {
        let facts = self.facts(resource).await?;
        self.decided(right, resource, facts)
    }

    /// Decides by `facts`: for what is not stored yet, or will belong to somebody else.
    ///
    /// # Errors
    /// As [`Desk::may`].
    pub(crate) fn decided(
        &self,
        right: Right,
        resource: Resource<'_>,
        facts: Facts,
    ) -> Result<Permit, Error> {
        let is_named = |only: &Vec<Right>| right == Right::View || only.contains(&right);
        if !self.only.as_ref().is_none_or(is_named) {
            tracing::error!(%right, "a handler asks for a right that its row does not name");
            return Err(Error::Internal {
                doing: "checking a right",
            });
        }
        let now = self.operations.now();
        let ask = |right| access::may(&self.principal, right, resource, &facts, now);
        let denied = match ask(right) {
            Ok(allowed) => return Ok(self.permit(allowed)),
            Err(denied) => denied,
        };
        self.refused(&denied);
        let is_hidden = resource != Resource::Everything
            && denied.missing != Missing::Credential
            && ask(Right::View).is_err();
        Err(match is_hidden {
            true => Error::Unknown {
                what: denied.resource,
            },
            false => Error::Denied(denied),
        })
    }

    /// Checks that the principal may use `right` somewhere; the permit says where. For lists, which show
    /// what is there.
    ///
    /// # Errors
    /// [`Error::Denied`] when the credential no longer counts; or when the store does not answer.
    pub(crate) async fn may_see(&self, right: Right) -> Result<Seeing, Error> {
        let facts = self.facts(Resource::Everything).await?;
        let now = self.operations.now();
        if !facts.counts {
            let resource = Resource::Everything;
            access::may(&self.principal, right, resource, &facts, now)?;
        }
        Ok(Seeing {
            operations: self.operations.clone(),
            visible: Visible::of(&self.principal, right, &facts, now),
            facts,
        })
    }

    async fn facts(&self, resource: Resource<'_>) -> Result<Facts, Error> {
        let store = self.operations.store();
        let now = self.operations.now();
        Ok(store.access(&self.principal, resource, now).await?)
    }

    fn permit(&self, allowed: Allowed) -> Permit {
        Permit {
            operations: self.operations.clone(),
            allowed,
        }
    }

    fn refused(&self, denied: &Denied) {
        let what = format!("denied:{}", denied.right);
        let who = self.principal.name();
        self.operations.refused(&what, who, self.principal.from());
    }

    /// What belongs to the principal alone needs no right.
    pub(crate) fn own(&self) -> &Operations {
        &self.operations
    }
}

/// A permission that was checked, and with it the way to everything else.
#[derive(Debug, Clone)]
pub(crate) struct Permit {
    operations: Operations,
    allowed: Allowed,
}

impl Permit {
    /// Who may.
    pub(crate) fn principal(&self) -> &str {
        self.allowed.principal().name()
    }

    /// The audit event of what is done now: with the address, and the token if it was one.
    pub(crate) fn audit(&self, action: &str, subject: &str, mut detail: Value) -> Audit {
        if let Value::Object(fields) = &mut detail {
            let principal = self.allowed.principal();
            if let Some(from) = principal.from() {
                fields.insert("from".to_owned(), json!(from.to_string()));
            }
            if let access::Via::Token(id) = principal.via() {
                fields.insert("token".to_owned(), json!(id.0));
            }
        }
        Audit::of(&self.allowed, action, subject, detail, self.now())
    }
}

impl Deref for Permit {
    type Target = Operations;
    fn deref(&self) -> &Operations {
        &self.operations
    }
}

/// A permission to see, of which the list says how far it goes.
#[derive(Debug, Clone)]
pub(crate) struct Seeing {
    operations: Operations,
    visible: Visible,
    facts: Facts,
}

impl Seeing {
    /// What was stored when it was checked.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What may be seen.
    pub(crate) fn visible(&self) -> &Visible {
        &self.visible
    }
}

impl Deref for Seeing {
    type Target = Operations;
    fn deref(&self) -> &Operations {
        &self.operations
    }
}
