//! Why a group must not be changed, as far as its description shows: what somebody else does with it,
//! and kinds of groups that deployments do not work with. Pure.

use crate::resources::groups::Group;

/// Processes without which a deployment would never end, or do harm ("Suspend and resume a
/// process for an Auto Scaling group", 2026-11).
const NEEDED: [&str; 5] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "HealthCheck",
    "ReplaceUnhealthy",
];

/// The obstacles that a group shows.
pub fn of(group: &Group) -> Vec<String> {
    let name = &group.name;
    let mut found: Vec<String> = group
        .unsupported
        .iter()
        .map(|why| format!("deployments to the Auto Scaling group {name} are not possible: {why}"))
        .collect();
    let suspended = group
        .suspended
        .iter()
        .filter(|it| NEEDED.contains(&it.as_str()));
    found.extend(suspended.map(|process| {
        format!("the process {process} of the Auto Scaling group {name} is suspended; resume it")
    }));
    match &group.specification {
        Some((_, version)) if group.launches.is_none() => found.push(format!(
            "the Auto Scaling group {name} launches version {version} of its template, which can \
             change at any time; set it to a number"
        )),
        _ => {}
    }
    let aside = |lifecycle: &str| {
        matches!(
            lifecycle,
            "Standby" | "EnteringStandby" | "Detaching" | "Quarantined"
        ) || lifecycle.starts_with("ReplacingRootVolume")
    };
    let members = group
        .members
        .iter()
        .filter(|member| aside(&member.lifecycle));
    found.extend(members.map(|member| {
        let (id, state) = (&member.id, &member.lifecycle);
        format!("the instance {id} of the Auto Scaling group {name} is in {state}")
    }));
    found
}
