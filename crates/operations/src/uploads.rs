//! Packages brought to where machines will fetch them, as soon as a release is made.
//!
//! Invariant: a convenience. What did not arrive is brought by the first deployment that needs it, and
//! nothing is decided by what is told here.

use std::{collections::BTreeSet, time::Duration};

use domain::{
    access::{Resource, Right, Visible},
    catalogue::{Account, Kind, ServerGroup},
    names::{AccountName, ServiceName},
    release::{Digest, Release},
};
use futures_util::future::join_all;
use store::catalogue::Filter;

use super::{Desk, Error, Operations, PAGE_MAX};

/// Whoever made a release waits no longer than this; the package goes on by itself.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A package on its way to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The account.
    pub account: AccountName,
    /// Its bucket for packages.
    pub bucket: String,
    /// Where the package is.
    pub arrival: Arrival,
}

/// Whether a package has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// It is there.
    There,
    /// It is large, or the way is long.
    UnderWay,
    /// It is not there, for this reason.
    Failed(String),
}

impl Desk {
    /// Brings the package of `release` to every account in which a server group of its service is.
    /// A release of a machine image has nothing to bring. What goes wrong is told in the uploads, and is
    /// no error: the release is made.
    ///
    /// # Errors
    /// [`Error::Denied`] when the principal may not make releases of the service.
    pub async fn bring(&self, release: &Release) -> Result<Vec<Upload>, Error> {
        let service = Resource::Service(&release.service);
        let permit = self.may(Right::Release, service).await?;
        let Some(digest) = release.content.digest() else {
            return Ok(Vec::new());
        };
        let accounts = permit.accounts_of(&release.service).await;
        let accounts = accounts.unwrap_or_else(|error| {
            tracing::warn!(%error, service = %release.service, "nobody knows where packages go");
            Vec::new()
        });
        let uploads = accounts.into_iter().filter_map(|account| {
            let bucket = account.package_bucket.clone()?;
            Some(permit.bring_to(account, bucket, digest))
        });
        Ok(join_all(uploads).await)
    }
}

impl Operations {
    async fn bring_to(&self, account: Account, bucket: String, digest: &Digest) -> Upload {
        let (clouds, digest) = (self.clouds().clone(), digest.clone());
        let name = account.name.clone();
        // A task of its own: it goes on when nobody waits any more.
        let upload = tokio::spawn(async move {
            let provider = account.provider;
            clouds
                .call(provider, |it| it.bring(&account, &digest))
                .await
        });
        let arrival = match tokio::time::timeout(WAIT_MAX, upload).await {
            Err(_) => Arrival::UnderWay,
            Ok(Ok(Ok(()))) => Arrival::There,
            Ok(Ok(Err(error))) => Arrival::Failed(error.message),
            Ok(Err(panicked)) => Arrival::Failed(panicked.to_string()),
        };
        if let Arrival::Failed(why) = &arrival {
            tracing::warn!(account = %name, bucket, why, "a package did not arrive");
        }
        Upload {
            account: name,
            bucket,
            arrival,
        }
    }

    /// The accounts in which server groups of a service are.
    async fn accounts_of(&self, service: &ServiceName) -> Result<Vec<Account>, Error> {
        let filter = Filter {
            refers_to: Some((Kind::Service, service.to_string())),
        };
        let all = Visible::everything();
        let entries = self
            .store()
            .entries((Kind::ServerGroup, &filter), &all, None, PAGE_MAX);
        let mut names = BTreeSet::new();
        for entry in entries.await? {
            let group: ServerGroup =
                serde_json::from_value(entry.body).map_err(|_| Error::Internal {
                    doing: "reading a server group of the catalogue",
                })?;
            names.extend(group.home().account().cloned());
        }
        let mut accounts = Vec::new();
        for name in names {
            accounts.extend(self.account(&name).await?);
        }
        Ok(accounts)
    }
}
