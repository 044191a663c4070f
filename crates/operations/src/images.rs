//! Machine images of the accounts, and how many server groups run on each.

use std::collections::BTreeMap;

use domain::{
    access::{Right, Visible},
    catalogue::{Account, Kind},
    effect::Target,
    image::{self, Ranked, Running},
    names::{AccountName, Place},
    observation::Observation,
    release::ImageId,
    slice::Slice,
    time::UnixMs,
};
use futures_util::{StreamExt, stream};

use super::{
    Desk, Error, Operations, PAGE_MAX, catalogue::unknown, status::group_of, trouble::Trouble,
};

/// Most accounts that are asked in one call.
const ACCOUNTS_MAX: usize = 100;
/// Most server groups that are looked through in one call.
pub const GROUPS_MAX: usize = 2000;
/// Server groups that are looked at at once.
const AT_ONCE: usize = 16;

/// The images of one account.
#[derive(Debug, Clone)]
pub struct AccountImages {
    /// The account.
    pub account: AccountName,
    /// Its images, by kind and newest first.
    pub images: Vec<Ranked>,
    /// How many server groups of the catalogue run on each with their live slice.
    pub groups: BTreeMap<ImageId, u32>,
    /// When the images were listed.
    pub at: UnixMs,
    /// There are more images than are ever listed.
    pub truncated: bool,
    /// Why nothing is known, when the provider does not answer.
    pub trouble: Option<Trouble>,
}

/// What the live slice of a server group runs on.
#[derive(Debug, Clone)]
pub(super) struct RunsOn {
    pub place: Place,
    pub running: Result<Running, String>,
}

impl Desk {
    /// The images of all accounts that have some, or of one. An account in trouble is told, not an error,
    /// unless it is the one that was asked for.
    ///
    /// # Errors
    /// [`Error::Unknown`] account; [`Error::Provider`] when the one that was asked for does not answer.
    pub async fn images(&self, only: Option<&AccountName>) -> Result<Vec<AccountImages>, Error> {
        let permit = self.may_see(Right::View).await?;
        let accounts = permit.image_accounts(only, permit.visible()).await?;
        let targets = permit.image_targets(permit.visible()).await?;
        let mut all = Vec::new();
        for account in accounts {
            let of_account = |target: &&Target| target.account.as_ref() == Some(&account);
            let targets: Vec<Target> = targets.iter().filter(of_account).cloned().collect();
            match permit.account_images(&account, targets).await {
                Ok(images) => all.push(images),
                Err(error) if only.is_some() => return Err(error),
                Err(error) => all.push(AccountImages {
                    account: account.name,
                    images: Vec::new(),
                    groups: BTreeMap::new(),
                    at: permit.now(),
                    truncated: false,
                    trouble: Some(error.into()),
                }),
            }
        }
        Ok(all)
    }
}

impl Operations {
    async fn account_images(
        &self,
        account: &Account,
        targets: Vec<Target>,
    ) -> Result<AccountImages, Error> {
        let listed = self.listed_images(account).await?;
        let mut groups: BTreeMap<ImageId, u32> = BTreeMap::new();
        for standing in self.standings(account, targets).await? {
            let images = standing.running.map(|running| running.images);
            for image in images.unwrap_or_default() {
                *groups.entry(image).or_default() += 1;
            }
        }
        Ok(AccountImages {
            account: account.name.clone(),
            images: image::rank(&account.name, listed.images, self.now()),
            groups,
            at: listed.at,
            truncated: listed.truncated,
            trouble: None,
        })
    }

    /// The images of `account`, as its provider lists them.
    pub(super) async fn listed_images(&self, account: &Account) -> Result<image::Listed, Error> {
        let images = self
            .clouds()
            .call(account.provider, |it| it.images(account));
        Ok(images.await?)
    }

    /// What the live slices of these groups, all in `account`, run on.
    pub(super) async fn standings(
        &self,
        account: &Account,
        targets: Vec<Target>,
    ) -> Result<Vec<RunsOn>, Error> {
        let seen: Vec<(Target, Result<Observation, Error>)> = stream::iter(targets)
            .map(|target| async move {
                let seen = self.observe(&target).await;
                (target, seen)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut standings = Vec::new();
        let mut asked: Vec<(Target, Slice)> = Vec::new();
        for (target, seen) in seen {
            match seen {
                Ok(seen) => asked.push((target, live_slice(&seen))),
                Err(error) => standings.push(RunsOn {
                    place: target.place,
                    running: Err(error.to_string()),
                }),
            }
        }
        let running = self
            .clouds()
            .call(account.provider, |it| it.running_images(account, &asked))
            .await?;
        standings.extend(
            asked
                .into_iter()
                .zip(running)
                .map(|((target, _), running)| RunsOn {
                    place: target.place,
                    running: Ok(running),
                }),
        );
        Ok(standings)
    }

    /// The accounts that have images, or the one that was asked for.
    pub(super) async fn image_accounts(
        &self,
        only: Option<&AccountName>,
        visible: &Visible,
    ) -> Result<Vec<Account>, Error> {
        if visible.is_nothing() {
            return match only {
                Some(name) => Err(unknown(Kind::Account, name.as_str())),
                None => Ok(Vec::new()),
            };
        }
        if let Some(name) = only {
            let account = self.account(name).await?;
            let account = account.ok_or_else(|| unknown(Kind::Account, name.as_str()))?;
            return Ok(vec![account]);
        }
        let page = self.entries(Kind::Account, visible, None, PAGE_MAX).await?;
        let accounts = page.items.into_iter().map(|entry| {
            serde_json::from_value(entry.body).map_err(|_| Error::Internal {
                doing: "reading an account of the catalogue",
            })
        });
        let mut accounts: Vec<Account> = accounts.collect::<Result<_, _>>()?;
        accounts.retain(|account| account.provider.has_images());
        bounded("the question", accounts, ACCOUNTS_MAX, "accounts; name one")
    }

    /// The visible server groups of the catalogue that run on images.
    async fn image_targets(&self, visible: &Visible) -> Result<Vec<Target>, Error> {
        let mut targets = self.targets(visible, None, None).await?;
        targets.retain(|target| target.group.home().abilities().has_images);
        Ok(targets)
    }

    /// The visible server groups of the catalogue, of a service or in an environment.
    pub(super) async fn targets(
        &self,
        visible: &Visible,
        service: Option<&str>,
        environment: Option<&str>,
    ) -> Result<Vec<Target>, Error> {
        let mut groups = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .entries(Kind::ServerGroup, visible, after.as_deref(), PAGE_MAX)
                .await?;
            after = page.next;
            for entry in page.items {
                let group = group_of(entry.body)?;
                let asked = service.is_none_or(|it| it == group.service.as_str())
                    && environment.is_none_or(|it| it == group.environment.as_str());
                groups.extend(asked.then_some(group));
            }
            if after.is_none() || groups.len() > GROUPS_MAX {
                break;
            }
        }
        let groups = bounded("the scope", groups, GROUPS_MAX, "server groups")?;
        let accounts = self.accounts_of_groups(&groups).await?;
        let targets = groups.into_iter().map(|group| {
            let account = group.home().account().and_then(|name| accounts.get(name));
            Target::new(group.place(), group.clone(), account.cloned()).to_show()
        });
        Ok(targets.collect())
    }
}

/// The slice with most users; the first one where there is no other.
fn live_slice(seen: &Observation) -> Slice {
    let share = |slice: &Slice| seen.weights.share(*slice);
    let best = seen.slices.keys().copied().rev().max_by_key(share);
    best.unwrap_or(Slice::Blue)
}

fn bounded<T>(
    what: &'static str,
    items: Vec<T>,
    max: usize,
    of: &'static str,
) -> Result<Vec<T>, Error> {
    if items.len() > max {
        let limit = format!("{max} {of}");
        return Err(Error::TooLarge { what, limit });
    }
    Ok(items)
}
