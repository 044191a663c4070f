//! One poll of an account: everything that some server groups are made of, read together.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use domain::{
    catalogue::{AwsGroup, AwsTraffic},
    effect::{Purpose, Target},
    time::UnixMs,
};
use engine::ports::{ErrorKind, ProviderError};
use futures_util::{StreamExt, stream};

use crate::{
    account::AwsAccount,
    calls::retry::retry,
    metrics::counts::Counts,
    observe::{account_state::AccountState, health_cache::HealthCache, shortfalls::Shortfalls},
    resources::{
        groups::{self, Group},
        instances::{self, Instances},
        refreshes::{self, Refresh},
    },
    server_group,
    traffic::{dns, listener, weights::Split},
};

/// How many groups are asked about their instance refresh at once.
const AT_ONCE: usize = 8;

/// A server group with its settings.
type OnAws<'a> = (&'a Target, &'a AwsGroup);

/// Polls one account, and remembers what need not be asked again.
pub struct Poller {
    account: Arc<AwsAccount>,
    instances: Instances,
    health: HealthCache,
    shortfalls: Shortfalls,
    counts: Counts,
}

impl Poller {
    /// A poller of an account that is usually polled at this interval.
    pub fn new(account: Arc<AwsAccount>, poll_every: Duration) -> Self {
        Self {
            account,
            instances: Instances::default(),
            health: HealthCache::new(poll_every),
            shortfalls: Shortfalls::default(),
            counts: Counts::default(),
        }
    }

    /// Reads everything that the server groups are made of.
    ///
    /// # Errors
    /// When AWS does not answer. What only some of them need has its own errors in the result.
    pub async fn poll(&self, targets: &[Target]) -> Result<AccountState, ProviderError> {
        let at = self.account.now();
        let on_aws: Vec<OnAws<'_>> = targets
            .iter()
            .map(|target| Ok((target, server_group::settings(target)?)))
            .collect::<Result<_, ProviderError>>()?;
        let clients = &*self.account.clients;
        let names: Vec<String> = group_names(&on_aws).into_iter().collect();
        let groups = retry(|| groups::describe(clients, &names)).await?;
        let refreshes = self.refreshes(&on_aws, &groups).await?;
        let versions = groups.values().flat_map(Group::versions).collect();
        let templates = &self.account.templates;
        retry(|| templates.learn(clients, &versions)).await?;
        self.learn_goals(&refreshes).await?;
        let members = || groups.values().flat_map(|group| &group.members);
        let ids: BTreeSet<&str> = members().map(|member| member.id.as_str()).collect();
        let instances = self.instances.describe(clients, &ids).await?;
        let unchecked = without_target_groups(&groups);
        let passed = retry(|| instances::passed_status_checks(clients, &unchecked)).await?;
        let arns = listeners(&on_aws);
        let actions = retry(|| listener::actions(clients, &arns)).await?;
        Ok(AccountState {
            at,
            health: self.health.read(clients, &groups, at).await,
            records: self.records(&on_aws, at).await,
            counts: self.counts.read(clients, &on_aws, at).await,
            troubles: self.shortfalls.explain(clients, &groups, at).await,
            groups,
            refreshes,
            passed,
            instances,
            actions,
        })
    }

    /// The last instance refresh of each group that may be refreshed: a call per group.
    async fn refreshes(
        &self,
        on_aws: &[OnAws<'_>],
        groups: &BTreeMap<String, Group>,
    ) -> Result<BTreeMap<String, Refresh>, ProviderError> {
        let refreshed: Vec<OnAws<'_>> = on_aws
            .iter()
            .filter(|(target, _)| target.purpose == Purpose::InstanceRefresh)
            .copied()
            .collect();
        let names = group_names(&refreshed).into_iter();
        let names = names.filter(|name| groups.contains_key(name));
        let clients = &*self.account.clients;
        let asked = stream::iter(names).map(|name| async move {
            let last = retry(|| refreshes::last(clients, &name)).await?;
            Ok(last.map(|refresh| (name, refresh)))
        });
        let found: Vec<Result<_, ProviderError>> = asked.buffer_unordered(AT_ONCE).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    /// Reads the versions that refreshes lead to. That of an old refresh may have been deleted since,
    /// and nobody needs it then.
    async fn learn_goals(
        &self,
        refreshes: &BTreeMap<String, Refresh>,
    ) -> Result<(), ProviderError> {
        let goals: BTreeSet<_> = refreshes
            .values()
            .filter_map(|it| it.goal.clone())
            .collect();
        for goal in goals {
            let wanted = BTreeSet::from([goal]);
            let AwsAccount {
                clients, templates, ..
            } = &*self.account;
            let learned = retry(|| templates.learn(clients, &wanted)).await;
            learned.or_else(|error| match error.kind {
                ErrorKind::Missing => Ok(()),
                _ => Err(error),
            })?;
        }
        Ok(())
    }

    /// How records at Route 53 split the users: a call or two per name.
    async fn records(
        &self,
        on_aws: &[OnAws<'_>],
        at: UnixMs,
    ) -> BTreeMap<dns::Records, Result<Split, ProviderError>> {
        let mut found = BTreeMap::new();
        for (_, aws) in on_aws {
            let AwsTraffic::Dns {
                zone,
                name,
                identifiers,
            } = &aws.traffic
            else {
                continue;
            };
            if let Entry::Vacant(entry) = found.entry(dns::Records::new(zone, name, identifiers)) {
                let records = entry.key();
                let AwsAccount {
                    clients,
                    dns_changes,
                    ..
                } = &*self.account;
                let split = retry(|| dns::read(clients, dns_changes, records, at)).await;
                entry.insert(split);
            }
        }
        found
    }
}

fn group_names(on_aws: &[OnAws<'_>]) -> BTreeSet<String> {
    let names = on_aws
        .iter()
        .flat_map(|(target, aws)| server_group::group_names(target, aws));
    names.map(|(_, name)| name).collect()
}

/// The listeners and rules that split users.
fn listeners(on_aws: &[OnAws<'_>]) -> Vec<String> {
    let arns: BTreeSet<&str> = on_aws
        .iter()
        .filter_map(|(_, aws)| match &aws.traffic {
            AwsTraffic::Listener { listener, rule } => {
                Some(listener::arn(listener, rule.as_deref()))
            }
            _ => None,
        })
        .collect();
    arns.into_iter().map(str::to_owned).collect()
}

/// The instances in service that no target group checks.
fn without_target_groups(groups: &BTreeMap<String, Group>) -> Vec<String> {
    let unchecked = groups
        .values()
        .filter(|group| group.target_groups.is_empty());
    let members = unchecked.flat_map(|group| &group.members);
    let serving = members.filter(|member| member.is_in_service());
    serving.map(|member| member.id.clone()).collect()
}
