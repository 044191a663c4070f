//! Reading the catalogue, and taking entries out of it. Putting is in [`super::manifests`].

use domain::{
    access::{Denied, Resource, Right, Visible},
    catalogue::Kind,
    names::{EnvironmentName, EnvironmentTypeName, Place, ServiceName, TeamName},
    time::UnixMs,
};
use serde_json::{Value, json};
use store::catalogue::{Change, Filter};

use super::{Desk, Error, Operations, Page, desk::Permit, manifests};

/// One entry, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its name, unique within the kind.
    pub name: String,
    /// Its fields.
    pub body: Value,
    /// Changes with every put, never comes back, not even after a delete.
    pub version: i64,
    /// When it was last put.
    pub updated_at: UnixMs,
    /// Who put it.
    pub updated_by: String,
}

impl From<store::catalogue::Entry> for Entry {
    fn from(stored: store::catalogue::Entry) -> Self {
        Self {
            kind: stored.kind,
            name: stored.name,
            body: stored.body,
            version: stored.version,
            updated_at: stored.updated_at,
            updated_by: stored.updated_by,
        }
    }
}

impl Desk {
    /// Entries of a kind in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn entries(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, Error> {
        let seeing = self.may_see(Right::View).await?;
        seeing.entries(kind, seeing.visible(), after, limit).await
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub async fn entry(&self, kind: Kind, name: &str) -> Result<Entry, Error> {
        let permit = self.may_entry(Right::View, kind, name).await?;
        permit.entry(kind, name).await
    }

    /// Checks that somebody may change an entry as it is stored, before anything else is looked at.
    ///
    /// # Errors
    /// [`Error::Denied`]; [`Error::Unknown`] when there is none, or they may not even see it.
    pub async fn may_change(&self, kind: Kind, name: &str) -> Result<(), Error> {
        let permit = self.may_entry(kind.words().right, kind, name).await?;
        permit.entry(kind, name).await.map(|_| ())
    }

    /// What somebody who may see an entry is missing to change it; `None`: nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`] entry.
    pub async fn missing_to_change(&self, kind: Kind, name: &str) -> Result<Option<Denied>, Error> {
        self.may_entry(Right::View, kind, name).await?;
        let named = Named::of(kind, name).ok_or_else(|| unknown(kind, name))?;
        self.missing(kind.words().right, named.resource()).await
    }

    /// Takes an entry out; `expected` is the version that it must have now.
    ///
    /// # Errors
    /// [`Error::Referenced`] while others need it, [`Error::Changed`], [`Error::Unknown`].
    pub async fn delete(
        &self,
        (kind, name): (Kind, &str),
        expected: Option<i64>,
    ) -> Result<(), Error> {
        let permit = self.may_entry(kind.words().right, kind, name).await?;
        let entry = permit.entry(kind, name).await?;
        let (action, subject) = (
            format!("{}.delete", manifests::noun(kind)),
            manifests::subject(kind, name),
        );
        let audit = permit.audit(&action, &subject, json!({ "version": entry.version }));
        let change = Change::Delete {
            kind,
            name: name.to_owned(),
            expected_version: expected,
        };
        permit.store().put_and_delete(&[change], &[audit]).await?;
        Ok(())
    }
}

/// An entry that is named, as what somebody has a right to.
pub(super) enum Named {
    Shared(Kind, String),
    Team(TeamName),
    EnvironmentType(EnvironmentTypeName),
    Service(ServiceName),
    Environment(EnvironmentName),
    Place(Place),
}

impl Named {
    /// `None` when no entry of the kind can have this name.
    pub(super) fn of(kind: Kind, name: &str) -> Option<Self> {
        match kind {
            Kind::Prometheus | Kind::Account | Kind::Freeze => {
                Some(Self::Shared(kind, name.to_owned()))
            }
            Kind::Team => name.parse().ok().map(Self::Team),
            Kind::EnvironmentType => name.parse().ok().map(Self::EnvironmentType),
            Kind::Service => name.parse().ok().map(Self::Service),
            Kind::Environment => name.parse().ok().map(Self::Environment),
            Kind::ServerGroup => {
                let (service, environment) = name.split_once('.')?;
                Some(Self::Place(Place {
                    service: service.parse().ok()?,
                    environment: environment.parse().ok()?,
                }))
            }
        }
    }

    pub(super) fn resource(&self) -> Resource<'_> {
        match self {
            Self::Shared(kind, name) => Resource::Shared(*kind, name),
            Self::Team(name) => Resource::Team(name),
            Self::EnvironmentType(name) => Resource::EnvironmentType(name),
            Self::Service(name) => Resource::Service(name),
            Self::Environment(name) => Resource::Environment(name),
            Self::Place(place) => Resource::Place(place),
        }
    }
}

impl Desk {
    /// Checks that the principal may use `right` on an entry.
    pub(super) async fn may_entry(
        &self,
        right: Right,
        kind: Kind,
        name: &str,
    ) -> Result<Permit, Error> {
        let named = Named::of(kind, name).ok_or_else(|| unknown(kind, name))?;
        let permit = self.may(right, named.resource()).await;
        permit.map_err(|error| match error {
            Error::Unknown { .. } => unknown(kind, name),
            error => error,
        })
    }
}

impl Operations {
    /// Entries of a kind in the order of their names, after the name `after`; those that are visible.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn entries(
        &self,
        kind: Kind,
        visible: &Visible,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, Error> {
        let fetch = Page::<Entry>::fetch(limit);
        let filter = Filter::default();
        let entries = self.store().entries((kind, &filter), visible, after, fetch);
        let entries = entries.await?;
        let entries = entries.into_iter().map(Entry::from).collect();
        Ok(Page::of(entries, limit, |entry: &Entry| entry.name.clone()))
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub(crate) async fn entry(&self, kind: Kind, name: &str) -> Result<Entry, Error> {
        let entry = self.store().entry(kind, name).await?;
        entry.map(Entry::from).ok_or_else(|| unknown(kind, name))
    }
}

pub(super) fn unknown(kind: Kind, name: &str) -> Error {
    let name: String = name.chars().take(130).collect();
    Error::Unknown {
        what: format!("{kind} {name} in the catalogue"),
    }
}
