//! Groups of people, to whom something can be granted at once.

use std::collections::BTreeMap;

use domain::{
    access::{GroupName, PersonName, Resource, Right},
    time::UnixMs,
};
use serde_json::{Value, json};
use store::{groups as stored, people::LOCAL};

use super::{Desk, Error, PAGE_MAX, Page, people, sign_in::invalid};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// Where its members are from: `local`, or the name of an identity provider.
    pub provider: String,
    /// What that provider calls it; `None` for a group of our own.
    pub provider_group: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
}

/// A group of an identity provider, which says who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderGroup {
    /// The name of the provider.
    pub provider: String,
    /// What the provider calls the group, as it is in its tokens.
    pub name: String,
}

/// Longest name of a group at a provider, in bytes.
const PROVIDER_GROUP_LEN_MAX: usize = 256;

impl Desk {
    /// Groups in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn groups(
        &self,
        after: Option<&GroupName>,
        limit: u32,
    ) -> Result<Page<Group>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let fetch = Page::<Group>::fetch(limit);
        let groups = permit.store().groups(after, fetch).await?;
        let groups = groups.into_iter().map(Group::from).collect();
        Ok(Page::of(groups, limit, |group: &Group| {
            group.name.to_string()
        }))
    }

    /// How many members each of these groups has; without one, a group is left out.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn member_counts(
        &self,
        groups: &[GroupName],
    ) -> Result<BTreeMap<GroupName, i64>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        Ok(permit.store().counts(groups).await?)
    }

    /// The members of these groups, by group: as many as one page holds.
    ///
    /// # Errors
    /// [`Error::Denied`]; or when the store does not answer.
    pub async fn members_of_all(
        &self,
        groups: &[GroupName],
    ) -> Result<BTreeMap<GroupName, Vec<PersonName>>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let mut all: BTreeMap<GroupName, Vec<PersonName>> = BTreeMap::new();
        for (group, person) in permit.store().members_of_all(groups, PAGE_MAX).await? {
            all.entry(group).or_default().push(person);
        }
        Ok(all)
    }

    /// The members of a group, in the order of their names.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unknown`] group.
    pub async fn members(&self, name: &GroupName) -> Result<Vec<PersonName>, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let members = permit.store().members(name).await?;
        members.ok_or_else(|| unknown(name))
    }

    /// Makes a group. One that stands for a group of an identity provider has the members that the provider
    /// says, each as of their last sign-in.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Busy`] when there are too many; [`Error::Invalid`] provider.
    pub async fn create_group(
        &self,
        name: GroupName,
        of: Option<ProviderGroup>,
    ) -> Result<Group, Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        if let Some(of) = &of {
            permit.known_provider(&of.provider)?;
            if of.name.is_empty() || of.name.len() > PROVIDER_GROUP_LEN_MAX {
                let rule = format!("use 1 to {PROVIDER_GROUP_LEN_MAX} bytes");
                return Err(invalid("provider_group", &rule));
            }
        }
        let (provider, provider_group) = match of {
            Some(of) => (of.provider, Some(of.name)),
            None => (LOCAL.to_owned(), None),
        };
        let group = stored::Group {
            name,
            provider,
            provider_group,
            created_at: permit.now(),
            created_by: permit.principal().to_owned(),
        };
        let detail = json!({"provider": group.provider, "provider_group": group.provider_group});
        let audit = permit.audit("group.create", &subject(&group.name), detail);
        match permit.store().create_group(&group, audit).await? {
            stored::GroupChanged::Done(false) => Err(Error::Exists {
                what: format!("the group {} exists", group.name),
            }),
            changed => done(changed, &group.name, None).map(|()| group.into()),
        }
    }

    /// Adds a person to a group; one who is a member stays one.
    ///
    /// # Errors
    /// [`Error::Unknown`] group or person; [`Error::Busy`] when the group is full.
    pub async fn add_member(&self, name: &GroupName, person: &PersonName) -> Result<(), Error> {
        let permit = self
            .may_freshly(Right::Administer, Resource::Everything)
            .await?;
        let audit = permit.audit("group.add", &subject(name), member(person));
        let changed = permit.store().add_member(name, person, audit).await?;
        done(changed, name, Some(person))
    }

    /// Removes a person from a group.
    ///
    /// # Errors
    /// [`Error::Unknown`] group, or the person is not in it.
    pub async fn remove_member(&self, name: &GroupName, person: &PersonName) -> Result<(), Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let audit = permit.audit("group.remove", &subject(name), member(person));
        match permit.store().remove_member(name, person, audit).await? {
            stored::GroupChanged::Done(false) => Err(Error::Unknown {
                what: format!("{person} in the group {name}"),
            }),
            changed => done(changed, name, Some(person)),
        }
    }

    /// Removes a group to which nothing is granted.
    ///
    /// # Errors
    /// [`Error::Unknown`] group; [`Error::Referenced`] while something is granted to it.
    pub async fn delete_group(&self, name: &GroupName) -> Result<(), Error> {
        let permit = self.may(Right::Administer, Resource::Everything).await?;
        let before = permit.store().members(name).await?;
        let detail = json!({ "before": { "members": before } });
        let audit = permit.audit("group.delete", &subject(name), detail);
        let changed = permit.store().delete_group(name, audit).await?;
        done(changed, name, None)
    }
}

fn done(
    changed: stored::GroupChanged,
    name: &GroupName,
    person: Option<&PersonName>,
) -> Result<(), Error> {
    match changed {
        stored::GroupChanged::Done(_) => Ok(()),
        stored::GroupChanged::UnknownGroup => Err(unknown(name)),
        stored::GroupChanged::UnknownPerson => {
            Err(person.map_or_else(|| unknown(name), people::unknown))
        }
        stored::GroupChanged::OfProvider(provider) => Err(invalid(
            "name",
            &format!("{provider} says who is in the group {name}; change it there"),
        )),
        stored::GroupChanged::InUse => Err(Error::Referenced {
            what: format!("the group {name}"),
            by: vec!["what is granted to it".to_owned()],
        }),
        stored::GroupChanged::Full => Err(Error::Busy {
            what: "groups or members",
            limit: stored::MEMBERS_MAX,
        }),
    }
}

fn unknown(name: &GroupName) -> Error {
    Error::Unknown {
        what: format!("group {name}"),
    }
}

fn subject(name: &GroupName) -> String {
    format!("group/{name}")
}

fn member(person: &PersonName) -> Value {
    json!({ "person": person })
}

impl From<stored::Group> for Group {
    fn from(group: stored::Group) -> Self {
        Self {
            name: group.name,
            provider: group.provider,
            provider_group: group.provider_group,
            created_at: group.created_at,
            created_by: group.created_by,
        }
    }
}
