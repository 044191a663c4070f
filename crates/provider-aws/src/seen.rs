//! From AWS's words to an observation: pure, so that each word has its row in a table.

use std::collections::BTreeMap;

use domain::{
    catalogue::{AwsGroup, AwsTraffic},
    effect::Target,
    observation::{Instance, InstanceId, InstanceState, Observation, Slice, SliceSeen},
    release::LaunchId,
    users::Weights,
};
use engine::ports::ProviderError;

use crate::{
    dns,
    errors::{invalid, missing},
    groups::{Group, Member},
    label, listener,
    look::Look,
    obstacles, refresh,
    settings::Settings,
    shares::{self, SLICES},
    targets::{Health, Targets},
    templates::Templates,
};

/// The process that moves instances between zones.
pub const REBALANCE: &str = "AZRebalance";

/// What `look` shows of `target`.
pub fn observation(
    target: &Target,
    look: &Look,
    templates: &Templates,
    settings: &Settings,
) -> Result<Observation, ProviderError> {
    let aws = target.group.aws.as_ref();
    let aws = aws.ok_or_else(|| invalid("the server group has no settings for AWS"))?;
    let mut stale_ms_max = settings.consistency_ms;
    let mut slices = BTreeMap::new();
    for slice in SLICES.into_iter().take(usize::from(target.group.slices)) {
        let name = aws.group_name(&target.place, slice);
        let Some(group) = look.groups.get(&name) else {
            if aws.create.is_none() {
                return Err(missing(format!(
                    "there is no Auto Scaling group {name} in the account {}, and the manifest does \
                     not say how to create it",
                    aws.account
                )));
            }
            continue;
        };
        let mut health = Vec::new();
        for arn in &group.target_groups {
            match look.health.get(arn) {
                Some(Ok((age_ms, targets))) => {
                    stale_ms_max = stale_ms_max.max(settings.consistency_ms + age_ms);
                    health.push(targets);
                }
                Some(Err(error)) => {
                    return Err(ProviderError::new(error.kind, error.message.clone()));
                }
                None => {}
            }
        }
        let mut seen = slice_seen(group, &health, look, templates);
        seen.obstacles.extend(unattached(aws, slice, group));
        slices.insert(slice, seen);
    }
    let (weights, wrong, stale_ms) = weights(aws, look, &slices, target)?;
    if let Some(first) = slices.values_mut().next() {
        first.obstacles.extend(wrong);
    }
    Ok(Observation {
        at: look.at,
        stale_ms_max,
        weights_stale_ms_max: stale_ms,
        slices,
        weights,
        ..Observation::default()
    })
}

/// A group that does not register its instances where users come from would never get any.
fn unattached(aws: &AwsGroup, slice: Slice, group: &Group) -> Option<String> {
    let arn = aws.target_group(slice)?;
    let attached = group.target_groups.iter().any(|it| it == arn);
    (!attached).then(|| {
        let name = &group.name;
        format!("the Auto Scaling group {name} is not attached to its target group {arn}")
    })
}

fn slice_seen(group: &Group, health: &[&Targets], look: &Look, templates: &Templates) -> SliceSeen {
    let launches = group.launches.as_ref().and_then(|at| templates.known(at));
    let instances = group.members.iter().filter_map(|member| {
        let state = state(member, health, look, group)?;
        Some(instance(member, state, look, templates))
    });
    SliceSeen {
        sizes: group.sizes,
        launches: launches.and_then(|version| version.launch()),
        rebalancing_suspended: group.suspended.iter().any(|it| it == REBALANCE),
        obstacles: obstacles::of(group),
        trouble: look
            .troubles
            .get(&group.name)
            .cloned()
            .or_else(|| unhealthy(group, health)),
        hazard: refresh::hazard(group),
        refresh: look
            .refreshes
            .get(&group.name)
            .map(|record| refresh::seen(record, templates)),
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

fn instance(member: &Member, state: InstanceState, look: &Look, templates: &Templates) -> Instance {
    let known = member.launched.as_ref().and_then(|at| templates.known(at));
    let born = look.born.get(&member.id);
    let mut launch = match (&known, &member.launched) {
        (Some(version), _) => version.launch_id(),
        (None, Some(at)) => label::foreign_id(&at.template, at.number),
        (None, None) => LaunchId("unknown".to_owned()),
    };
    // Auto Scaling says which version it used; EC2 says which image it became. They must agree.
    let asked = known.as_ref().and_then(|version| version.image.as_ref());
    if let (Some(asked), Some(born)) = (asked, born)
        && asked.as_str() != born.image
    {
        launch = LaunchId(format!("unexpected:{}", born.image));
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
        started_at: born.map_or(look.at, |born| born.at),
    }
}

fn unknown_version() -> domain::names::Version {
    "unknown".parse().expect("the word is a valid version")
}

/// Where an instance is in its life; `None` for one that is not of the group any more, or not yet.
fn state(
    member: &Member,
    health: &[&Targets],
    look: &Look,
    group: &Group,
) -> Option<InstanceState> {
    let word = member.lifecycle.as_str();
    match word {
        "Terminated" | "Detached" => return None,
        _ if word.starts_with("Warmed") => return None,
        _ if word.starts_with("Terminating") => return Some(InstanceState::Terminating),
        "Detaching" | "Standby" | "EnteringStandby" => return Some(InstanceState::Draining),
        "InService" => {}
        // Pending, Pending:Wait, Pending:Proceed, and words of tomorrow: nothing that proves health.
        _ => return Some(InstanceState::Pending),
    }
    if !member.healthy {
        return Some(InstanceState::Unhealthy);
    }
    let age_ms = look
        .born
        .get(&member.id)
        .map_or(0, |born| look.at.since_ms(born.at));
    let young = age_ms < u64::from(group.grace_seconds) * 1000;
    Some(match said(member, health, look) {
        Health::Healthy => InstanceState::Healthy,
        Health::Draining => InstanceState::Draining,
        Health::Unhealthy if !young => InstanceState::Unhealthy,
        Health::Unhealthy | Health::Initial => InstanceState::Pending,
    })
}

/// What all of its target groups say, or EC2's status checks where there are none.
fn said(member: &Member, health: &[&Targets], look: &Look) -> Health {
    if health.is_empty() {
        let passed = look.passed.contains(&member.id);
        return if passed {
            Health::Healthy
        } else {
            Health::Initial
        };
    }
    let said = health.iter().map(|targets| targets.get(&member.id));
    let said: Vec<Health> = said.map(|it| it.unwrap_or(Health::Initial)).collect();
    let any = |wanted: Health| said.contains(&wanted);
    if said.iter().all(|it| *it == Health::Healthy) {
        Health::Healthy
    } else if any(Health::Unhealthy) {
        Health::Unhealthy
    } else if any(Health::Draining) {
        Health::Draining
    } else {
        Health::Initial
    }
}

/// How users are split, what is wrong with it, and how old that may be in milliseconds.
fn weights(
    aws: &AwsGroup,
    look: &Look,
    slices: &BTreeMap<Slice, SliceSeen>,
    target: &Target,
) -> Result<(Weights, Vec<String>, u64), ProviderError> {
    match &aws.traffic {
        AwsTraffic::Group => {
            let running = slices
                .get(&Slice::Blue)
                .is_some_and(|seen| seen.launches.is_some());
            let weights = running.then_some((Slice::Blue, 100));
            Ok((weights.into_iter().collect(), Vec::new(), 0))
        }
        AwsTraffic::Listener { listener, rule } => {
            let arn = listener::arn(listener, rule.as_deref());
            let actions = look.actions.get(arn);
            let actions =
                actions.ok_or_else(|| missing(format!("there is no listener or rule {arn}")))?;
            let (weights, wrong) = listener::read(actions, aws);
            Ok((weights, wrong, 0))
        }
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => {
            let name = dns::Name::new(zone, name, identifiers);
            match look.records.get(&name) {
                Some(Ok(seen)) => Ok((seen.weights.clone(), seen.obstacles.clone(), seen.stale_ms)),
                Some(Err(error)) => Err(ProviderError::new(error.kind, error.message.clone())),
                None => Err(missing(format!("{} was not looked at", name.name))),
            }
        }
        AwsTraffic::Attach { target_group } => {
            let attached = |slice: &Slice| {
                let group = look.groups.get(&aws.group_name(&target.place, *slice));
                group.is_some_and(|group| group.target_groups.iter().any(|it| it == target_group))
            };
            let shares = slices
                .keys()
                .map(|slice| (*slice, u64::from(attached(slice))));
            let shares: Vec<(Slice, u64)> = shares.collect();
            Ok((shares::percent(&shares), Vec::new(), 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::time::UnixMs;

    use super::*;
    use crate::groups::TemplateVersion;

    fn look() -> Look {
        Look {
            at: UnixMs(1_000_000),
            groups: BTreeMap::new(),
            health: BTreeMap::new(),
            passed: ["i-passed".to_owned()].into(),
            born: BTreeMap::new(),
            actions: BTreeMap::new(),
            records: BTreeMap::new(),
            refreshes: BTreeMap::new(),
            troubles: BTreeMap::new(),
        }
    }

    fn member(id: &str, lifecycle: &str, healthy: bool) -> Member {
        Member {
            id: id.to_owned(),
            zone: "a".to_owned(),
            lifecycle: lifecycle.to_owned(),
            healthy,
            protected: false,
            launched: None,
        }
    }

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
        let launched = |id, number| Member {
            launched: version(number),
            ..member(id, "InService", true)
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
        let told = unhealthy(&group, &[&good, &new]).unwrap();
        assert_eq!(told, format!("i-new is unhealthy: {checks}"));
    }

    #[test]
    fn every_word_of_aws_has_its_state() {
        use InstanceState::{Draining, Healthy, Pending, Terminating, Unhealthy};
        let targets = |health| targets(&[("i-1", health, None)]);
        let (good, ill) = (targets(Health::Healthy), targets(Health::Unhealthy));
        let (new, leaving) = (targets(Health::Initial), targets(Health::Draining));
        let none = Targets::default();
        let rows: [(&str, bool, &[&Targets], Option<InstanceState>); 16] = [
            ("InService", true, &[&good], Some(Healthy)),
            ("InService", true, &[&good, &good], Some(Healthy)),
            ("InService", true, &[&good, &new], Some(Pending)),
            ("InService", true, &[&good, &none], Some(Pending)),
            ("InService", true, &[&good, &ill], Some(Unhealthy)),
            ("InService", true, &[&leaving], Some(Draining)),
            ("InService", false, &[&good], Some(Unhealthy)),
            ("InService", true, &[], Some(Pending)),
            ("Pending", true, &[&good], Some(Pending)),
            ("Pending:Wait", true, &[&good], Some(Pending)),
            ("Terminating:Wait", true, &[&good], Some(Terminating)),
            ("Terminating:Retained", true, &[&good], Some(Terminating)),
            ("Standby", true, &[&good], Some(Draining)),
            ("Terminated", true, &[&good], None),
            ("Warmed:Stopped", true, &[], None),
            ("SomethingNew", true, &[&good], Some(Pending)),
        ];
        let group = Group::default();
        let mut look = look();
        let born = crate::targets::Born::default();
        look.born.insert("i-1".to_owned(), born);
        for (lifecycle, healthy, health, expected) in rows {
            let member = member("i-1", lifecycle, healthy);
            let seen = state(&member, health, &look, &group);
            assert_eq!(seen, expected, "{lifecycle} {healthy} {health:?}");
        }
    }

    #[test]
    fn a_young_instance_may_fail_its_first_checks() {
        let ill = targets(&[("i-1", Health::Unhealthy, None)]);
        let group = Group {
            grace_seconds: 300,
            ..Group::default()
        };
        let mut look = look();
        let member = member("i-1", "InService", true);
        for (age_ms, expected) in [
            (10_000, InstanceState::Pending),
            (300_000, InstanceState::Unhealthy),
        ] {
            let at = UnixMs(look.at.0 - age_ms);
            let born = crate::targets::Born {
                at,
                ..Default::default()
            };
            look.born.insert("i-1".to_owned(), born);
            assert_eq!(state(&member, &[&ill], &look, &group), Some(expected));
        }
    }

    #[test]
    fn without_target_groups_the_status_checks_decide() {
        let (look, group) = (look(), Group::default());
        let passed = state(&member("i-passed", "InService", true), &[], &look, &group);
        assert_eq!(passed, Some(InstanceState::Healthy));
        let open = state(&member("i-other", "InService", true), &[], &look, &group);
        assert_eq!(open, Some(InstanceState::Pending));
    }
}
