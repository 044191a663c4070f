//! From what AWS shows to an observation. Pure.

use std::collections::BTreeMap;

use domain::{
    catalogue::{AwsGroup, AwsTraffic},
    effect::Target,
    observation::{Instance, InstanceId, InstanceState, Observation, SliceSeen},
    release::LaunchId,
    slice::Slice,
};
use engine::ports::ProviderError;

use crate::{
    calls::errors::{self, missing},
    observe::{account_state::AccountState, instance_state, obstacles},
    resources::{
        description,
        groups::{Group, Member, REBALANCE},
        refreshes,
        target_health::Targets,
        templates::Templates,
    },
    server_group,
    traffic::{
        dns, listener,
        weights::{self, Split},
    },
};

/// What `account` shows of a server group. AWS's answers may be `consistency_ms` behind.
///
/// # Errors
/// When a group that deployments cannot create does not exist, or AWS did not answer for this one.
pub fn of(
    target: &Target,
    aws: &AwsGroup,
    account: &AccountState,
    templates: &Templates,
    consistency_ms: u64,
) -> Result<Observation, ProviderError> {
    let mut stale_ms_max = consistency_ms;
    let mut slices = BTreeMap::new();
    for (slice, name) in server_group::group_names(target, aws) {
        let Some(group) = account.groups.get(&name) else {
            if aws.create.is_none() {
                return Err(missing(format!(
                    "there is no Auto Scaling group {name} in the account {}, and the manifest has no \
                     `aws.create` to create it",
                    aws.account
                )));
            }
            continue;
        };
        let (health, age_ms) = health(group, account)?;
        stale_ms_max = stale_ms_max.max(consistency_ms + age_ms);
        let mut seen = slice_seen(group, &health, account, templates);
        seen.obstacles.extend(unattached(aws, slice, group));
        slices.insert(slice, seen);
    }
    let split = split(target, aws, account, &slices)?;
    if let Some(first) = slices.values_mut().next() {
        first.obstacles.extend(split.obstacles);
    }
    Ok(Observation {
        at: account.at,
        stale_ms_max,
        weights_stale_ms_max: split.stale_ms,
        slices,
        weights: split.weights,
        by_minute: account.counts.get(&target.place).cloned(),
        ..Observation::default()
    })
}

/// What the target groups of a group say, and how old the oldest answer is in milliseconds.
fn health<'a>(
    group: &Group,
    account: &'a AccountState,
) -> Result<(Vec<&'a Targets>, u64), ProviderError> {
    let (mut health, mut oldest_ms) = (Vec::new(), 0);
    for answer in group
        .target_groups
        .iter()
        .filter_map(|arn| account.health.get(arn))
    {
        let (age_ms, targets) = answer.as_ref().map_err(errors::copy)?;
        oldest_ms = oldest_ms.max(*age_ms);
        health.push(targets);
    }
    Ok((health, oldest_ms))
}

/// A group that does not register its instances in its target group would never get users.
fn unattached(aws: &AwsGroup, slice: Slice, group: &Group) -> Option<String> {
    let arn = aws.target_group(slice)?;
    let attached = group.target_groups.iter().any(|it| it == arn);
    (!attached).then(|| {
        let name = &group.name;
        format!("the Auto Scaling group {name} is not attached to its target group {arn}")
    })
}

fn slice_seen(
    group: &Group,
    health: &[&Targets],
    account: &AccountState,
    templates: &Templates,
) -> SliceSeen {
    let launches = group.launches.as_ref().and_then(|at| templates.known(at));
    let instances = group.members.iter().filter_map(|member| {
        let state = instance_state::of(member, group, health, account)?;
        Some(instance(member, state, account, templates))
    });
    let trouble = account.troubles.get(&group.name).cloned();
    let refresh = account.refreshes.get(&group.name);
    SliceSeen {
        sizes: group.sizes,
        launches: launches.and_then(|version| version.launch()),
        rebalancing_suspended: group.suspended.iter().any(|it| it == REBALANCE),
        obstacles: obstacles::of(group),
        trouble: trouble.or_else(|| unhealthy(group, health)),
        hazard: refreshes::hazard(group),
        refresh: refresh.map(|refresh| refresh.observed(templates)),
        instances: instances.collect(),
        ..SliceSeen::default()
    }
}

/// Why an instance that the group launches now fails the checks of its target group.
fn unhealthy(group: &Group, health: &[&Targets]) -> Option<String> {
    let new = group.launches.as_ref()?;
    let members = group.members.iter();
    let mut members = members.filter(|it| it.launched.as_ref() == Some(new));
    members.find_map(|member| {
        let why = health.iter().find_map(|it| it.reason(&member.id))?;
        Some(format!("{} is unhealthy: {why}", member.id))
    })
}

fn instance(
    member: &Member,
    state: InstanceState,
    account: &AccountState,
    templates: &Templates,
) -> Instance {
    let known = member.launched.as_ref().and_then(|at| templates.known(at));
    let in_ec2 = account.instances.get(&member.id);
    let mut launch = match (&known, &member.launched) {
        (Some(version), _) => version.launch_id(),
        (None, Some(at)) => description::foreign_id(&at.template, at.number),
        (None, None) => LaunchId("unknown".to_owned()),
    };
    // Auto Scaling knows the version, EC2 the image. They must agree.
    let asked = known.as_ref().and_then(|version| version.image.as_ref());
    if let (Some(asked), Some(in_ec2)) = (asked, in_ec2)
        && asked.as_str() != in_ec2.image
    {
        launch = LaunchId(format!("unexpected:{}", in_ec2.image));
    }
    let version = known
        .and_then(|version| version.launch())
        .map(|launch| launch.version);
    Instance {
        id: InstanceId(member.id.clone()),
        launch,
        version: version.unwrap_or_else(unknown_version),
        zone: member.zone.clone(),
        state,
        protected: member.protected,
        started_at: in_ec2.map_or(account.at, |it| it.launched_at),
    }
}

fn unknown_version() -> domain::names::Version {
    "unknown".parse().expect("the word is a valid version")
}

/// How the users of a server group are split.
fn split(
    target: &Target,
    aws: &AwsGroup,
    account: &AccountState,
    slices: &BTreeMap<Slice, SliceSeen>,
) -> Result<Split, ProviderError> {
    match &aws.traffic {
        AwsTraffic::Group => {
            let only = slices.get(&Slice::Blue);
            let running = only.filter(|seen| seen.launches.is_some());
            let weights = running.map(|_| (Slice::Blue, 100));
            Ok(Split::new(weights.into_iter().collect()))
        }
        AwsTraffic::Listener { listener, rule } => {
            let arn = listener::arn(listener, rule.as_deref());
            let actions = account.actions.get(arn);
            let actions =
                actions.ok_or_else(|| missing(format!("there is no listener or rule {arn}")))?;
            Ok(listener::read(actions, aws))
        }
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => {
            let records = dns::Records::new(zone, name, identifiers);
            match account.records.get(&records) {
                Some(Ok(split)) => Ok(split.clone()),
                Some(Err(error)) => Err(errors::copy(error)),
                None => Err(missing(format!(
                    "the records of {} were not read",
                    records.name
                ))),
            }
        }
        AwsTraffic::Attach { target_group } => {
            let attached = |slice: Slice| {
                let group = account.groups.get(&aws.group_name(&target.place, slice));
                group.is_some_and(|group| group.target_groups.iter().any(|it| it == target_group))
            };
            let shares = slices
                .keys()
                .map(|slice| (*slice, u64::from(attached(*slice))));
            Ok(Split::new(weights::percent(&shares.collect::<Vec<_>>())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{groups::TemplateVersion, target_health::Health};

    fn targets(said: &[(&str, Health, Option<&str>)]) -> Targets {
        let mut targets = Targets::default();
        for (id, health, reason) in said {
            targets.note(id, *health, *reason);
        }
        targets
    }

    #[test]
    fn says_why_a_new_instance_fails_its_checks() {
        let version = |number| {
            let template = "lt-1".to_owned();
            Some(TemplateVersion { template, number })
        };
        let launched = |id: &str, number| Member {
            id: id.to_owned(),
            launched: version(number),
            ..Member::default()
        };
        let group = Group {
            launches: version(2),
            members: vec![launched("i-old", 1), launched("i-new", 2)],
            ..Group::default()
        };
        let good = targets(&[("i-old", Health::Healthy, None)]);
        let checks = "Health checks failed with these codes: [503]";
        let old = targets(&[("i-old", Health::Unhealthy, Some(checks))]);
        let new = targets(&[
            ("i-new", Health::Unhealthy, Some(checks)),
            (
                "i-new",
                Health::Initial,
                Some("Target registration is in progress"),
            ),
        ]);
        assert_eq!(unhealthy(&group, &[&good, &old]), None);
        let said = unhealthy(&group, &[&good, &new]).unwrap();
        assert_eq!(said, format!("i-new is unhealthy: {checks}"));
    }
}
