//! Reads existing Auto Scaling groups into the manifest of a server group that adopts them as they are.
//! Changes nothing.

use std::collections::BTreeSet;

use domain::{
    catalogue::{Adopted, AwsGroup, AwsTraffic, Bounds, ServerGroup},
    names::Place,
};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{DESCRIBE_LISTENERS, DESCRIBE_RULES, DESCRIBE_TARGET_GROUPS},
        clients::Clients,
        errors::missing,
        retry::retry,
    },
    observe::{admission, obstacles},
    resources::groups::{self, Group},
    traffic::listener,
};

/// Most listeners of a load balancer whose rules are read ("Quotas for your Application Load
/// Balancers", read 2026-11: 50 listeners).
const LISTENERS_MAX: usize = 50;

/// The manifest of a server group at `place` that is these Auto Scaling groups, that of blue first.
///
/// # Errors
/// When one of them does not exist, or AWS does not answer.
pub async fn read(
    clients: &Clients,
    place: &Place,
    names: &[String],
) -> Result<Adopted, ProviderError> {
    let account = &clients.account.name;
    let mut found = retry(|| groups::describe(clients, names)).await?;
    let mut there = Vec::new();
    for name in names {
        let group = found.remove(name);
        there.push(group.ok_or_else(|| {
            missing(format!(
                "there is no Auto Scaling group {name} in the account {account}"
            ))
        })?);
    }
    let (mut notes, target_groups) = notes(clients, &there).await?;
    let users = match &target_groups[..] {
        [blue, green] => split_at(clients, blue, green).await?,
        _ => None,
    };
    let traffic = match (users, there.len()) {
        (Some(traffic), _) => traffic,
        (None, 2) => {
            notes.push(
                "no listener forwards to both groups: complete `aws.traffic` by hand, with records at \
                 Route 53 (by: dns) or one target group for both (by: attach)"
                    .to_owned(),
            );
            AwsTraffic::Group
        }
        (None, _) => AwsTraffic::Group,
    };
    let fullest = there.iter().max_by_key(|group| group.sizes.desired);
    let sizes = fullest.map(|group| group.sizes).unwrap_or_default();
    let group = ServerGroup {
        service: place.service.clone(),
        environment: place.environment.clone(),
        size: sizes.desired.max(1),
        autoscaling: (sizes.max > sizes.min).then_some(Bounds {
            min: sizes.min,
            max: sizes.max,
        }),
        slices: if there.len() == 2 { 2 } else { 1 },
        aws: Some(AwsGroup {
            account: account.clone(),
            groups: names.to_vec(),
            target_groups,
            create: None,
            traffic,
            user_data: None,
        }),
        ..ServerGroup::new(place.clone())
    };
    Ok(Adopted { group, notes })
}

/// What would obstruct deployments there, and the target groups if each group has one of its own.
async fn notes(
    clients: &Clients,
    there: &[Group],
) -> Result<(Vec<String>, Vec<String>), ProviderError> {
    let mut notes: Vec<String> = there.iter().flat_map(obstacles::of).collect();
    for group in there {
        let finding = admission::examine(clients, group).await?;
        notes.extend([finding.obstacles, finding.warnings].concat());
    }
    for group in there.iter().filter(|group| group.target_groups.is_empty()) {
        let name = &group.name;
        notes.push(format!(
            "the Auto Scaling group {name} has no target group: its instances count as healthy once \
             EC2's status checks pass"
        ));
    }
    let own: Vec<String> = there
        .iter()
        .filter_map(|group| group.target_groups.first().cloned())
        .collect();
    let apart = own.iter().collect::<BTreeSet<_>>().len() == 2;
    Ok((notes, if apart { own } else { Vec::new() }))
}

/// The listener or rule whose forward action names both target groups.
async fn split_at(
    clients: &Clients,
    blue: &str,
    green: &str,
) -> Result<Option<AwsTraffic>, ProviderError> {
    for balancer in balancers(clients, blue).await? {
        for arn in listeners(clients, &balancer).await? {
            let by = |rule| AwsTraffic::Listener {
                listener: arn.clone(),
                rule,
            };
            let actions = listener::actions(clients, std::slice::from_ref(&arn)).await?;
            if actions
                .values()
                .any(|it| listener::names_both(it, blue, green))
            {
                return Ok(Some(by(None)));
            }
            for (rule, actions) in rules(clients, &arn).await? {
                if listener::names_both(&actions, blue, green) {
                    return Ok(Some(by(Some(rule))));
                }
            }
        }
    }
    Ok(None)
}

async fn balancers(clients: &Clients, target_group: &str) -> Result<Vec<String>, ProviderError> {
    let request = clients.elb.describe_target_groups();
    let request = request.target_group_arns(target_group);
    let answer = clients
        .make(&DESCRIBE_TARGET_GROUPS, request.send())
        .await?;
    let balancers = answer.target_groups().iter();
    Ok(balancers
        .flat_map(|it| it.load_balancer_arns().to_vec())
        .collect())
}

async fn listeners(clients: &Clients, balancer: &str) -> Result<Vec<String>, ProviderError> {
    let request = clients.elb.describe_listeners();
    let request = request.load_balancer_arn(balancer);
    let answer = clients.make(&DESCRIBE_LISTENERS, request.send()).await?;
    let arns = answer.listeners().iter().filter_map(|it| it.listener_arn());
    Ok(arns.take(LISTENERS_MAX).map(str::to_owned).collect())
}

async fn rules(
    clients: &Clients,
    listener: &str,
) -> Result<Vec<(String, Vec<listener::Action>)>, ProviderError> {
    let request = clients.elb.describe_rules().listener_arn(listener);
    let answer = clients.make(&DESCRIBE_RULES, request.send()).await?;
    let rules = answer.rules().iter();
    Ok(rules
        .filter(|rule| rule.is_default() != Some(true))
        .map(|rule| {
            let arn = rule.rule_arn().unwrap_or_default().to_owned();
            (arn, rule.actions().to_vec())
        })
        .collect())
}
