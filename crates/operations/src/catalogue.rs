//! Reading the catalogue, and taking entries out of it. Putting is in [`super::manifests`].

use domain::{
    access::{Resource, Right},
    catalogue::Kind,
    time::UnixMs,
};
use serde_json::{Value, json};
use store::catalogue::{Change, Filter};

use super::{Desk, Error, Operations, Page, manifests};

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
        let permit = self.may(Right::View, Resource::Everything).await?;
        permit.entries(kind, after, limit).await
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none.
    pub async fn entry(&self, kind: Kind, name: &str) -> Result<Entry, Error> {
        let permit = self.may(Right::View, Resource::Everything).await?;
        permit.entry(kind, name).await
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
        let permit = self.may(kind.words().right, Resource::Everything).await?;
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

impl Operations {
    /// Entries of a kind in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn entries(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Entry>, Error> {
        let fetch = Page::<Entry>::fetch(limit);
        let entries = self
            .store()
            .entries(kind, &Filter::default(), after, fetch)
            .await?;
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
