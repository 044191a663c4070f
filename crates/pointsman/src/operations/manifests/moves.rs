//! Manifests that move what is live: what runs does not follow them, and people are told so.

use domain::catalogue::{Account, Home, ServerGroup};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::catalogue::{Filter, Kind};

use super::Manifest;
use crate::operations::{Error, Operations};

/// Most server groups of an account that are named.
const NAMED_MAX: u32 = 20;

impl Operations {
    /// What is left behind when `after` takes the place of the entry `before`, one sentence each.
    pub(super) async fn left_behind(
        &self,
        before: &Value,
        after: &Manifest,
    ) -> Result<Vec<String>, Error> {
        match after {
            Manifest::ServerGroup(after) => match read::<ServerGroup>(before) {
                Some(before) => self.left_by_group(&before, after).await,
                None => Ok(Vec::new()),
            },
            Manifest::Account(after) => match read::<Account>(before) {
                Some(before) => self.left_by_account(&before, after).await,
                None => Ok(Vec::new()),
            },
            _ => Ok(Vec::new()),
        }
    }

    async fn left_by_group(
        &self,
        before: &ServerGroup,
        after: &ServerGroup,
    ) -> Result<Vec<String>, Error> {
        let homes = before.left_behind(after);
        if homes.is_empty() {
            return Ok(Vec::new());
        }
        let Some(live) = self.store().live(&before.place()).await? else {
            return Ok(Vec::new());
        };
        let homes: Vec<String> = homes.iter().map(Home::to_string).collect();
        Ok(vec![format!(
            "{} {} is live. What runs in {} stays there with the users it has, but Pointsman will no longer \
             look after it: name it again, or take it down yourself once the next deployment runs elsewhere",
            before.service,
            live.launch.version,
            homes.join(" and in "),
        )])
    }

    async fn left_by_account(
        &self,
        before: &Account,
        after: &Account,
    ) -> Result<Vec<String>, Error> {
        if (before.provider, &before.region) == (after.provider, &after.region) {
            return Ok(Vec::new());
        }
        let filter = Filter {
            refers_to: Some((Kind::Account, before.name.to_string())),
        };
        let store = self.store();
        let groups = store.entries(Kind::ServerGroup, &filter, None, NAMED_MAX);
        let mut live = Vec::new();
        for entry in groups.await? {
            let Some(group) = read::<ServerGroup>(&entry.body) else {
                continue;
            };
            if store.live(&group.place()).await?.is_some() {
                live.push(entry.name);
            }
        }
        let from = before.region.as_deref().unwrap_or("this machine");
        Ok(Vec::from_iter((!live.is_empty()).then(|| {
            format!(
                "{} has something live in {from}. It stays there with the users it has, but Pointsman will no \
                 longer look after it: describe the other region as an account of its own",
                live.join(", "),
            )
        })))
    }
}

/// An entry that is not there, or cannot be read, leaves nothing behind that anybody could name.
fn read<T: DeserializeOwned>(body: &Value) -> Option<T> {
    T::deserialize(body).ok()
}
