//! Accounts as they are: check-ups, the permissions they need, and what stands there already.

use domain::{
    access::{Resource, Right, Visible},
    catalogue::{Account, Adopted, Kind, ServerGroup},
    checkup::{Check, CheckStatus},
    effect::Target,
    names::Place,
};
use engine::ports::ErrorKind;
use serde_json::Value;
use store::catalogue::Filter;

use super::{Desk, Error, Operations, PAGE_MAX, error::Fault};

impl Desk {
    /// Looks at everything that deployments to an account depend on. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Unknown`] account; what is wrong *with* the account is in the checks.
    pub async fn checkup(&self, account: &str) -> Result<Vec<Check>, Error> {
        let permit = self.may(Right::Operate, Resource::Everything).await?;
        let account = permit.described(account).await?;
        let filter = Filter {
            refers_to: Some((Kind::Account, account.name.to_string())),
        };
        let all = Visible::everything();
        let entries = permit
            .store()
            .entries((Kind::ServerGroup, &filter), &all, None, PAGE_MAX);
        let groups = entries.await?.into_iter();
        let groups =
            groups.filter_map(|entry| serde_json::from_value::<ServerGroup>(entry.body).ok());
        let targets = groups.map(|group| Target::new(group.place(), group, Some(account.clone())));
        let targets: Vec<Target> = targets.collect();
        let checkup = permit
            .clouds()
            .call(account.provider, |it| it.checkup(&account, &targets));
        Ok(checkup.await.unwrap_or_else(|error| {
            let status = match error.kind {
                ErrorKind::NotOffered => CheckStatus::Unchecked,
                _ => CheckStatus::Failed,
            };
            vec![Check::new("account", status, error.message)]
        }))
    }

    /// The least that Pointsman needs in an account, in the account's own words (an IAM policy).
    ///
    /// # Errors
    /// [`Error::Unknown`] account; [`Error::Provider`] where there are no permissions to give.
    pub async fn policy(&self, account: &str) -> Result<Value, Error> {
        let permit = self.may(Right::Operate, Resource::Everything).await?;
        let account = permit.described(account).await?;
        let policy = permit
            .clouds()
            .call(account.provider, |it| it.policy(&account));
        Ok(policy.await?)
    }

    /// The manifest of a server group at `place` that adopts groups which are in an account already.
    ///
    /// # Errors
    /// [`Error::Unknown`] account; [`Error::Invalid`] for no group or more than two;
    /// [`Error::Provider`] when they cannot be read.
    pub async fn import(
        &self,
        account: &str,
        place: &Place,
        groups: &[String],
    ) -> Result<Adopted, Error> {
        let permit = self.may(Right::Operate, Resource::Everything).await?;
        let account = permit.described(account).await?;
        if !(1..=2).contains(&groups.len()) {
            let rule = "must be one Auto Scaling group, or two: that of blue first";
            return Err(Error::Invalid {
                what: "the import",
                faults: vec![Fault::of("groups", rule)],
            });
        }
        let import = permit
            .clouds()
            .call(account.provider, |it| it.import(&account, place, groups));
        Ok(import.await?)
    }
}

impl Operations {
    async fn described(&self, name: &str) -> Result<Account, Error> {
        let entry = self.entry(Kind::Account, name).await?;
        serde_json::from_value(entry.body).map_err(|_| Error::Internal {
            doing: "reading an account of the catalogue",
        })
    }
}
