//! Compares manifests with the catalogue, and stores what differs.

use std::collections::{BTreeMap, BTreeSet};

use domain::catalogue::{Kind, Manifest};
use serde_json::{Value, json};
use store::{
    Audit, StoreError,
    catalogue::{self as stored, Entry},
};

use super::{Difference, Document, body, compare, read, twice};
use crate::{Desk, Error, desk::Permit, error::Fault};

/// How often the comparison is made anew when others change the catalogue meanwhile.
const TRIES: u32 = 3;
/// Most differences that an audit event keeps.
const AUDITED_MAX: usize = 200;

/// Only compare, or store as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Say what would change.
    DryRun,
    /// Change it.
    Apply,
}

/// What becomes of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// In one word.
    pub changed: Changed,
    /// Field by field.
    pub differences: Vec<Difference>,
    /// What people should know before they do it, one sentence each.
    pub notes: Vec<String>,
    /// The stored version after the change; the one of now in a dry run, 0 where there is none.
    pub version: i64,
}

/// What becomes of one entry, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is new.
    Created,
    /// It differs.
    Updated,
    /// It is the same.
    Unchanged,
}

impl Desk {
    /// Compares `documents` with the catalogue and, with [`Mode::Apply`], stores what differs: all
    /// or nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] when entries stand twice or refer to something that does not exist.
    pub async fn apply(&self, documents: Vec<Document>, mode: Mode) -> Result<Vec<Change>, Error> {
        let described: Vec<&Manifest> = documents.iter().map(|it| &it.manifest).collect();
        let permit = self.may_describe(&described).await?;
        let (numbers, manifests): (Vec<usize>, Vec<Manifest>) = documents
            .into_iter()
            .map(|document| (document.number, document.manifest))
            .unzip();
        let located = |index: usize, fault: Fault| locate(&manifests[index], numbers[index], fault);
        let faults: Vec<Fault> = twice(&manifests)
            .into_iter()
            .map(|index| located(index, Fault::of("", "stands twice in this set; keep one")))
            .collect();
        if !faults.is_empty() {
            return Err(read::invalid("the manifests", faults));
        }
        let dangling = permit.dangling(&manifests).await?;
        if !dangling.is_empty() {
            let faults = dangling
                .into_iter()
                .map(|(index, fault)| located(index, fault))
                .collect();
            return Err(read::invalid("the manifests", faults));
        }
        permit.apply_checked(&manifests, None, mode).await
    }

    /// Puts one entry; `expected` is the version that it must have now (0: there must be none).
    ///
    /// # Errors
    /// [`Error::Changed`] when it has another version; as [`Desk::apply`].
    pub async fn put(
        &self,
        (kind, name): (Kind, &str),
        body: Value,
        expected: Option<i64>,
    ) -> Result<Change, Error> {
        let manifests = [read::from_body(kind, name, body)?];
        let permit = self.may_describe(&[&manifests[0]]).await?;
        let dangling = permit.dangling(&manifests).await?;
        if !dangling.is_empty() {
            let faults = dangling.into_iter().map(|(_, fault)| fault).collect();
            return Err(read::invalid("the body", faults));
        }
        let mut changes = permit
            .apply_checked(&manifests, expected, Mode::Apply)
            .await?;
        changes.pop().ok_or(Error::Internal {
            doing: "putting an entry",
        })
    }
}

impl Permit {
    /// Tries until nobody changes the catalogue between the comparison and the change.
    async fn apply_checked(
        &self,
        manifests: &[Manifest],
        expected: Option<i64>,
        mode: Mode,
    ) -> Result<Vec<Change>, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut changes = self.compare(manifests).await?;
            let unexpected = |change: &&Change| expected.is_some_and(|e| e != change.version);
            if let Some(change) = changes.iter().find(unexpected) {
                let what = format!("the {} {}", change.kind, change.name);
                return Err(Error::Changed { what });
            }
            if mode == Mode::DryRun {
                return Ok(changes);
            }
            match self.store_changes(manifests, &mut changes).await {
                Ok(()) => return Ok(changes),
                Err(StoreError::VersionMismatch { .. }) if expected.is_none() && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What would become of each manifest.
    async fn compare(&self, manifests: &[Manifest]) -> Result<Vec<Change>, Error> {
        let names = manifests.iter().map(|it| (it.kind(), it.name()));
        let mut entries = self.entries_of(names.collect()).await?;
        let mut changes = Vec::with_capacity(manifests.len());
        for manifest in manifests {
            let (kind, name) = (manifest.kind(), manifest.name());
            let entry = entries.remove(&(kind, name.clone()));
            let before = entry.as_ref().map_or(&Value::Null, |entry| &entry.body);
            let differences = compare::differences(before, &body(manifest));
            let changed = match (&entry, differences.is_empty()) {
                (None, _) => Changed::Created,
                (Some(_), false) => Changed::Updated,
                (Some(_), true) => Changed::Unchanged,
            };
            changes.push(Change {
                kind,
                name,
                changed,
                differences,
                notes: match changed {
                    Changed::Updated => self.left_behind(manifest).await?,
                    Changed::Created | Changed::Unchanged => Vec::new(),
                },
                version: entry.map_or(0, |entry| entry.version),
            });
        }
        Ok(changes)
    }

    /// Stores what differs, and notes the new versions.
    async fn store_changes(
        &self,
        manifests: &[Manifest],
        changes: &mut [Change],
    ) -> Result<(), StoreError> {
        let differing: Vec<usize> = (0..changes.len())
            .filter(|index| changes[*index].changed != Changed::Unchanged)
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let puts: Vec<stored::Change> = differing
            .iter()
            .map(|index| put(&manifests[*index], changes[*index].version))
            .collect();
        let audits: Vec<Audit> = differing
            .iter()
            .map(|index| self.audit_change(&changes[*index]))
            .collect();
        let versions = self.store().put_and_delete(&puts, &audits).await?;
        for (index, version) in differing.into_iter().zip(versions) {
            changes[index].version = version;
        }
        Ok(())
    }

    /// References to what is neither in the set nor in the catalogue, with the place of the manifest
    /// that has them.
    async fn dangling(&self, manifests: &[Manifest]) -> Result<Vec<(usize, Fault)>, Error> {
        let known: BTreeSet<(Kind, String)> =
            manifests.iter().map(|m| (m.kind(), m.name())).collect();
        let references = manifests.iter().enumerate().flat_map(|(index, manifest)| {
            let references = manifest.references().into_iter();
            references.map(move |it| (index, it.field, (it.kind, it.name)))
        });
        let asked: Vec<_> = references
            .filter(|(_, _, to)| !known.contains(to))
            .collect();
        let names = asked.iter().map(|(_, _, to)| to.clone());
        let entries = self.entries_of(names.collect()).await?;
        let missing = asked
            .into_iter()
            .filter(|(_, _, to)| !entries.contains_key(to));
        let faults = missing.map(|(index, field, (kind, name))| {
            let message = format!(
                "there is no {kind} {name} in the catalogue, nor in this set; describe it too",
            );
            (index, Fault::of(field, message))
        });
        Ok(faults.collect())
    }

    /// The entries with these names, as far as there are any: a question for each kind and each few
    /// hundred names, however many are asked for.
    async fn entries_of(
        &self,
        names: BTreeSet<(Kind, String)>,
    ) -> Result<BTreeMap<(Kind, String), Entry>, Error> {
        let mut by_kind: BTreeMap<Kind, Vec<&str>> = BTreeMap::new();
        for (kind, name) in &names {
            by_kind.entry(*kind).or_default().push(name);
        }
        let mut entries = BTreeMap::new();
        for (kind, names) in by_kind {
            let found = self.store().entries_named(kind, &names).await?;
            entries.extend(
                found
                    .into_iter()
                    .map(|entry| ((kind, entry.name.clone()), entry)),
            );
        }
        Ok(entries)
    }

    fn audit_change(&self, change: &Change) -> Audit {
        let verb = match change.changed {
            Changed::Created => "create",
            Changed::Updated | Changed::Unchanged => "update",
        };
        let differences: Vec<Value> = change
            .differences
            .iter()
            .take(AUDITED_MAX)
            .map(audited)
            .collect();
        let action = format!("{}.{verb}", noun(change.kind));
        let subject = subject(change.kind, &change.name);
        self.audit(&action, &subject, json!({ "differences": differences }))
    }
}

/// The log is for ever, so what a variable or a start-up script holds is not written there.
fn audited(difference: &Difference) -> Value {
    let field = &difference.field;
    if field.starts_with("variables.") || field == "aws.user_data" {
        return json!({ "field": field });
    }
    json!({ "field": field, "before": difference.before, "after": difference.after })
}

fn put(manifest: &Manifest, version: i64) -> stored::Change {
    stored::Change::Put {
        kind: manifest.kind(),
        name: manifest.name(),
        body: body(manifest),
        references: manifest
            .references()
            .into_iter()
            .map(|it| (it.kind, it.name))
            .collect(),
        instances: manifest.instances(),
        expected_version: Some(version),
    }
}

fn locate(manifest: &Manifest, number: usize, fault: Fault) -> Fault {
    Fault {
        document: Some(number),
        kind: Some(manifest.kind().words().manifest.to_owned()),
        name: Some(manifest.name()),
        ..fault
    }
}

/// The noun of a kind in actions of the audit log.
pub(crate) fn noun(kind: Kind) -> String {
    kind.as_str().replace('-', "_")
}

/// How the audit log names an entry.
pub(crate) fn subject(kind: Kind, name: &str) -> String {
    format!("{}/{name}", noun(kind))
}
