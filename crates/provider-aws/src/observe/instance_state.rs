//! The state of an instance, from what Auto Scaling, target groups and EC2 say about it. Pure, so that each
//! word of AWS has a row in a table.
//!
//! `HealthStatus: Healthy` of an Auto Scaling group is only the initial value; it proves nothing.

use domain::observation::InstanceState;

use crate::{
    observe::account_state::AccountState,
    resources::{
        groups::{Group, Member},
        target_health::{Health, Targets},
    },
};

/// The state of an instance; `None`: it no longer belongs to the group, or not yet.
pub fn of(
    member: &Member,
    group: &Group,
    health: &[&Targets],
    account: &AccountState,
) -> Option<InstanceState> {
    let word = member.lifecycle.as_str();
    match word {
        "Terminated" | "Detached" => return None,
        _ if word.starts_with("Warmed") => return None,
        _ if word.starts_with("Terminating") => return Some(InstanceState::Terminating),
        "Detaching" | "Standby" | "EnteringStandby" => return Some(InstanceState::Draining),
        "InService" => {}
        // Pending, Pending:Wait, Pending:Proceed, and unknown words prove no health.
        _ => return Some(InstanceState::Pending),
    }
    if !member.healthy {
        return Some(InstanceState::Unhealthy);
    }
    let age_ms = account
        .instances
        .get(&member.id)
        .map_or(0, |instance| account.at.since_ms(instance.launched_at));
    let young = age_ms < u64::from(group.grace_seconds) * 1000;
    Some(match health_of(member, health, account) {
        Health::Healthy => InstanceState::Healthy,
        Health::Draining => InstanceState::Draining,
        Health::Unhealthy if !young => InstanceState::Unhealthy,
        Health::Unhealthy | Health::Initial => InstanceState::Pending,
    })
}

/// What all of its target groups say, or EC2's status checks where there are none.
fn health_of(member: &Member, health: &[&Targets], account: &AccountState) -> Health {
    if health.is_empty() {
        return match account.passed.contains(&member.id) {
            true => Health::Healthy,
            false => Health::Initial,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::time::UnixMs;

    use super::*;
    use crate::resources::instances::Ec2Instance;

    fn account() -> AccountState {
        AccountState {
            at: UnixMs(1_000_000),
            groups: BTreeMap::new(),
            health: BTreeMap::new(),
            passed: ["i-passed".to_owned()].into(),
            instances: BTreeMap::new(),
            actions: BTreeMap::new(),
            records: BTreeMap::new(),
            refreshes: BTreeMap::new(),
            counts: BTreeMap::new(),
            troubles: BTreeMap::new(),
        }
    }

    fn member(id: &str, lifecycle: &str, healthy: bool) -> Member {
        Member {
            id: id.to_owned(),
            lifecycle: lifecycle.to_owned(),
            healthy,
            ..Member::default()
        }
    }

    fn targets(health: Health) -> Targets {
        let mut targets = Targets::default();
        targets.note("i-1", health, None);
        targets
    }

    #[test]
    fn every_word_of_aws_has_its_state() {
        use InstanceState::{Draining, Healthy, Pending, Terminating, Unhealthy};
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
        let mut account = account();
        let old = Ec2Instance::default();
        account.instances.insert("i-1".to_owned(), old);
        for (lifecycle, healthy, health, expected) in rows {
            let member = member("i-1", lifecycle, healthy);
            let seen = of(&member, &group, health, &account);
            assert_eq!(seen, expected, "{lifecycle} {healthy} {health:?}");
        }
    }

    #[test]
    fn a_young_instance_may_fail_its_first_checks() {
        let ill = targets(Health::Unhealthy);
        let group = Group {
            grace_seconds: 300,
            ..Group::default()
        };
        let mut account = account();
        let member = member("i-1", "InService", true);
        for (age_ms, expected) in [
            (10_000, InstanceState::Pending),
            (300_000, InstanceState::Unhealthy),
        ] {
            let young = Ec2Instance {
                launched_at: UnixMs(account.at.0 - age_ms),
                ..Ec2Instance::default()
            };
            account.instances.insert("i-1".to_owned(), young);
            assert_eq!(of(&member, &group, &[&ill], &account), Some(expected));
        }
    }

    #[test]
    fn without_target_groups_the_status_checks_decide() {
        let (account, group) = (account(), Group::default());
        let state = |id| of(&member(id, "InService", true), &group, &[], &account);
        let passed = state("i-passed");
        assert_eq!(passed, Some(InstanceState::Healthy));
        let open = state("i-other");
        assert_eq!(open, Some(InstanceState::Pending));
    }
}
