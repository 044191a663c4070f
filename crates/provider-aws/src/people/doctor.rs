//! A check-up of an account: who we are there, what we may do, what is reached, what stands in the way.
//!
//! Invariant: nothing is changed, and every check ends in time; what cannot be found out without a change
//! is said to be unchecked, never to be well.

mod groups;
mod identity;
mod services;

use std::time::Duration;

use domain::{
    checkup::{Check, Verdict},
    effect::Target,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::observe::observer::Observer;

/// Longest time that one call of a check takes.
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
        Verdict::Unchecked,
        "AWS offers no trial of changes to Auto Scaling groups, listeners and records",
    );
    let changes = changes.with("compare with `pointsman doctor ACCOUNT --policy`");
    [identity.credentials, identity.clock]
        .into_iter()
        .chain(services.into_iter().map(put))
        .chain([changes])
        .chain(groups.into_iter().map(put))
        .collect()
}

/// A check that was made. Why one has no answer is put into words once it is known whether there were
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
                return Check::new(name, Verdict::Failed, text).with(WAY);
            }
        };
        match error.kind {
            ErrorKind::Unavailable if !has_credentials => Check::new(
                name,
                Verdict::Unchecked,
                "the server has no credentials to ask with",
            ),
            kind => {
                let verdict = match kind {
                    ErrorKind::Throttled => Verdict::Warning,
                    _ => Verdict::Failed,
                };
                Check::new(name, verdict, error.message).with(remedy(kind))
            }
        }
    }
}

const WAY: &str =
    "check the way to AWS: routes, proxies, VPC endpoints, the account's endpoint_url";

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Denied => "give it the policy that `pointsman doctor ACCOUNT --policy` prints",
        ErrorKind::Throttled => "others use up what AWS allows this account; find out who",
        ErrorKind::Unavailable => WAY,
        ErrorKind::Missing | ErrorKind::Invalid | ErrorKind::Superseded => {
            "check the account's manifest"
        }
    }
}
