//! A check-up of an account: credentials, permissions, the network, and obstacles to deployments.
//!
//! Invariant: nothing is changed, and every check ends in time. What only a change could show is reported
//! as unchecked, never as passed.

mod groups;
mod identity;
mod services;

use std::time::Duration;

use domain::{
    checkup::{Check, CheckStatus},
    effect::Target,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::observe::observer::Observer;

/// The time limit of one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Checks everything that deployments to these server groups of the account depend on.
pub async fn checkup(observer: &Observer, targets: &[Target]) -> Vec<Check> {
    let account = observer.account();
    let (identity, services, groups) = tokio::join!(
        identity::check(account),
        services::check(account, targets),
        groups::check(observer, targets),
    );
    let has_credentials = identity.has_credentials;
    let put = |checked: Checked| {
        checked.unwrap_or_else(|unanswered| unanswered.into_check(has_credentials))
    };
    let changes = Check::new(
        "changes",
        CheckStatus::Unchecked,
        "AWS has no dry run for changes to Auto Scaling groups, listeners and records",
    );
    let changes = changes.with("compare the permissions with `pointsman doctor ACCOUNT --policy`");
    [identity.credentials, identity.clock]
        .into_iter()
        .chain(services.into_iter().map(put))
        .chain([changes])
        .chain(groups.into_iter().map(put))
        .collect()
}

/// A check that was made. One without an answer is put into words once it is known whether there were
/// credentials to ask with.
type Checked = Result<Check, Unanswered>;

/// A check without an answer.
enum Unanswered {
    /// AWS refused it, or could not be reached.
    Failed(String, ProviderError),
    /// Nothing came within this time.
    TimedOut(String, Duration),
}

impl Unanswered {
    fn into_check(self, has_credentials: bool) -> Check {
        let (name, error) = match self {
            Self::Failed(name, error) => (name, error),
            Self::TimedOut(name, time) => {
                let text = format!("no answer within {} s", time.as_secs());
                return Check::new(name, CheckStatus::Failed, text).with(NETWORK);
            }
        };
        match error.kind {
            ErrorKind::Unavailable if !has_credentials => Check::new(
                name,
                CheckStatus::Unchecked,
                "not asked: the server has no credentials",
            ),
            kind => {
                let status = match kind {
                    ErrorKind::Throttled => CheckStatus::Warning,
                    _ => CheckStatus::Failed,
                };
                Check::new(name, status, error.message).with(remedy(kind))
            }
        }
    }
}

const NETWORK: &str =
    "check the network path to AWS: routes, proxies, VPC endpoints, the account's endpoint_url";

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Denied => "attach the policy that `pointsman doctor ACCOUNT --policy` prints",
        ErrorKind::Throttled => {
            "something else in this account uses up AWS's rate limits; find out what"
        }
        ErrorKind::Unavailable => NETWORK,
        ErrorKind::Missing | ErrorKind::Invalid | ErrorKind::NotOffered | ErrorKind::Superseded => {
            "check the account's manifest"
        }
    }
}
