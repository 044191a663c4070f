//! Users by attachment: a group that is attached to the target group has users, another one has none.
//! There are no weights.

use domain::{catalogue::AwsGroup, effect::Target, users::Weights};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{ATTACH_TARGET_GROUPS, DETACH_TARGET_GROUPS},
        clients::Clients,
        errors::invalid,
        retry::retry,
    },
    resources::{
        groups::{Group, group},
        target_health::{self, Health},
    },
    server_group,
};

/// Attaches the groups that are to have users, and detaches the others once those are healthy. Until then
/// a poll shows both, and the next turn asks again.
pub async fn write(
    clients: &Clients,
    target: &Target,
    aws: &AwsGroup,
    target_group: &str,
    weights: &Weights,
) -> Result<(), ProviderError> {
    if weights.served().count() > 1 {
        return Err(invalid(
            "groups that are attached to a target group have no weights: all users go to one slice",
        ));
    }
    let (mut serving, mut others) = (Vec::new(), Vec::new());
    for (slice, name) in server_group::group_names(target, aws) {
        let group = group(clients, &name).await?;
        if weights.share(slice) > 0 {
            serving.push(group);
        } else {
            others.push(group);
        }
    }
    let attached = |group: &Group| group.target_groups.iter().any(|it| it == target_group);
    for group in serving.iter().filter(|group| !attached(group)) {
        let request = clients.scaling.attach_load_balancer_target_groups();
        let request = request.auto_scaling_group_name(&group.name);
        let request = request.target_group_arns(target_group);
        clients.make(&ATTACH_TARGET_GROUPS, request.send()).await?;
    }
    if !serving.is_empty() && !all_healthy(clients, &serving, target_group).await? {
        return Ok(());
    }
    for group in others.iter().filter(|group| attached(group)) {
        let request = clients.scaling.detach_load_balancer_target_groups();
        let request = request.auto_scaling_group_name(&group.name);
        let request = request.target_group_arns(target_group);
        clients.make(&DETACH_TARGET_GROUPS, request.send()).await?;
    }
    Ok(())
}

/// Whether all instances of these groups are healthy targets, and there are any.
async fn all_healthy(
    clients: &Clients,
    groups: &[Group],
    target_group: &str,
) -> Result<bool, ProviderError> {
    let targets = retry(|| target_health::health(clients, target_group)).await?;
    let members = groups.iter().flat_map(|group| &group.members);
    let mut serving = members
        .filter(|it| it.is_in_service() && it.healthy)
        .peekable();
    let some = serving.peek().is_some();
    Ok(some && serving.all(|it| targets.get(&it.id) == Some(Health::Healthy)))
}
