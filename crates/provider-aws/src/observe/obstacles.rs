//! Why a group must not be changed now: what somebody else does with it, and kinds of groups whose
//! rules this provider does not know.

use std::collections::BTreeMap;

use domain::observation::Slice;
use engine::ports::ProviderError;

use crate::{
    calls::{clients::Clients, errors::failed, rate_limiter::Bucket, retry::again},
    resources::{groups::Group, refreshes},
};

const SUBNETS: &str = "ec2:DescribeSubnets";
/// Processes without which a deployment would wait for ever, or do harm ("Suspend and resume a
/// process for an Auto Scaling group", 2026-11).
const NEEDED: [&str; 5] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "HealthCheck",
    "ReplaceUnhealthy",
];

/// What costs calls of its own to see, by slice.
pub type Costly = BTreeMap<Slice, Found>;

/// What stands in the way of a slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Why it must not be changed.
    pub obstacles: Vec<String>,
    /// How many addresses are free for more instances, where that is known.
    pub room: Option<u32>,
    /// What may keep more instances from being started.
    pub warnings: Vec<String>,
}

/// Obstacles that can be read off the group.
pub fn of(group: &Group) -> Vec<String> {
    let name = &group.name;
    let mut found: Vec<String> = group
        .unsupported
        .iter()
        .map(|why| format!("the Auto Scaling group {name} cannot be handled: {why}"))
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
             change without a trace; set it to a number"
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

/// Looks for an instance refresh that is under way, and for room in the subnets.
pub async fn look(
    clients: &Clients,
    groups: impl Iterator<Item = (Slice, &Group)>,
) -> Result<Costly, ProviderError> {
    let mut found = Costly::new();
    for (slice, group) in groups {
        let refresh = again(|| under_way(clients, &group.name)).await?;
        let mut here = Found {
            obstacles: refresh.into_iter().collect(),
            ..Found::default()
        };
        match room(clients, group).await {
            Ok(room) => here.room = room,
            Err(error) => here.warnings.push(format!(
                "whether the subnets of {} have free addresses is not known: {}",
                group.name, error.message
            )),
        }
        found.insert(slice, here);
    }
    Ok(found)
}

async fn under_way(clients: &Clients, name: &str) -> Result<Option<String>, ProviderError> {
    let last = refreshes::last(clients, name).await?;
    Ok(last.filter(|it| it.state.is_active()).map(|it| {
        let id = it.id;
        format!("the instance refresh {id} of the Auto Scaling group {name} is under way")
    }))
}

/// How many addresses are free in the group's subnets.
async fn room(clients: &Clients, group: &Group) -> Result<Option<u32>, ProviderError> {
    if group.subnets.is_empty() {
        return Ok(None);
    }
    clients.calls.take(Bucket::Ec2Read, SUBNETS).await;
    let request = clients.ec2.describe_subnets();
    let answer = request
        .set_subnet_ids(Some(group.subnets.clone()))
        .send()
        .await;
    let answer = answer.map_err(|error| failed(SUBNETS, &error))?;
    let free = answer
        .subnets()
        .iter()
        .filter_map(|it| it.available_ip_address_count());
    let free: i64 = free.map(i64::from).sum();
    Ok(u32::try_from(free).ok())
}
