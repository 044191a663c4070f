//! Manifests that move what is live: what runs does not follow them, and people are told so.

use domain::{
    access::Visible,
    catalogue::{Account, Kind, Manifest, ServerGroup},
    deployment::Deployment,
    names::Place,
};
use store::catalogue::Filter;

use crate::{Error, Operations};

/// Most server groups of an account that are looked at.
const NAMED_MAX: u32 = 20;

impl Operations {
    /// What is left behind where `manifest` is taken, one sentence each.
    pub(super) async fn left_behind(&self, manifest: &Manifest) -> Result<Vec<String>, Error> {
        let told = match manifest {
            Manifest::ServerGroup(group) => self.left_by_group(group).await?,
            Manifest::Account(account) => self.left_by_account(account).await?,
            _ => None,
        };
        Ok(told.into_iter().collect())
    }

    async fn left_by_group(&self, group: &ServerGroup) -> Result<Option<String>, Error> {
        let Some(live) = self.made_live(&group.place()).await? else {
            return Ok(None);
        };
        let places = live.target.group.left_behind(group);
        Ok((!places.is_empty()).then(|| {
            format!(
                "{} {} is live. What runs in {} stays there with the users it has, but Pointsman will no \
                 longer look after it: name it again, or take it down yourself once the next \
                 deployment runs elsewhere",
                group.service,
                live.launch.version,
                places.join(" and in "),
            )
        }))
    }

    async fn left_by_account(&self, account: &Account) -> Result<Option<String>, Error> {
        let filter = Filter {
            refers_to: Some((Kind::Account, account.name.to_string())),
        };
        let all = Visible::everything();
        let groups = self
            .store()
            .entries((Kind::ServerGroup, &filter), &all, None, NAMED_MAX);
        let mut left = Vec::new();
        for entry in groups.await? {
            let group: ServerGroup =
                serde_json::from_value(entry.body).map_err(|_| Error::Internal {
                    doing: "reading a server group of the catalogue",
                })?;
            let live = self.made_live(&group.place()).await?;
            let was = live.and_then(|live| live.target.account);
            let was = was.filter(|was| was.name == account.name && was.region != account.region);
            if let Some(region) = was.and_then(|was| was.region) {
                left.push(format!("{} in {region}", entry.name));
            }
        }
        Ok((!left.is_empty()).then(|| {
            format!(
                "{} has something live. It stays there with the users it has, but Pointsman will no \
                 longer look after it: describe the other region as an account of its own",
                left.join(", "),
            )
        }))
    }

    /// The deployment that made live what is live at `place`.
    async fn made_live(&self, place: &Place) -> Result<Option<Deployment>, Error> {
        match self.store().live(place).await? {
            Some(live) => Ok(self.store().deployment(&live.deployment).await?),
            None => Ok(None),
        }
    }
}
