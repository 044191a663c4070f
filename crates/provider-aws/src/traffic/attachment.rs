//! Users by attachment: a group that is attached to the target group has users, one that is not has
//! none. Whole groups only, no weights.

use domain::{catalogue::AwsGroup, effect::Target, users::Weights};
use engine::ports::ProviderError;

use crate::{
    calls::{
        clients::Clients,
        errors::{failed, invalid},
        rate_limiter::Bucket,
        retry::retry,
    },
    resources::{
        groups::{Group, group},
        target_health::{self, Health},
    },
    server_group,
};

const ATTACH: &str = "autoscaling:AttachLoadBalancerTargetGroups";
const DETACH: &str = "autoscaling:DetachLoadBalancerTargetGroups";

/// Attaches whoever shall have users; detaches the others once those are healthy there. Until then a
/// poll shows both, and the next turn asks again.
pub async fn write(
    clients: &Clients,
    target: &Target,
    aws: &AwsGroup,
    target_group: &str,
    weights: &Weights,
) -> Result<(), ProviderError> {
    if weights.served().count() > 1 {
        return Err(invalid(
            "a group is attached whole or not at all; there are no weights",
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
        clients.calls.take(Bucket::ScalingWrite, ATTACH).await;
        let request = clients.scaling.attach_load_balancer_target_groups();
        let request = request.auto_scaling_group_name(&group.name);
        let answer = request.target_group_arns(target_group).send().await;
        answer.map_err(|error| failed(ATTACH, &error))?;
    }
    if !serving.is_empty() && !all_healthy(clients, &serving, target_group).await? {
        return Ok(());
    }
    for group in others.iter().filter(|group| attached(group)) {
        clients.calls.take(Bucket::ScalingWrite, DETACH).await;
        let request = clients.scaling.detach_load_balancer_target_groups();
        let request = request.auto_scaling_group_name(&group.name);
        let answer = request.target_group_arns(target_group).send().await;
        answer.map_err(|error| failed(DETACH, &error))?;
    }
    Ok(())
}

/// Every instance that shall have users can answer them.
async fn all_healthy(
    clients: &Clients,
    groups: &[Group],
    target_group: &str,
) -> Result<bool, ProviderError> {
    let (bucket, operation) = target_health::HEALTH_CALL;
    clients.calls.take(bucket, operation).await;
    let targets = retry(|| target_health::health(clients, target_group)).await?;
    let members = groups.iter().flat_map(|group| &group.members);
    let mut serving = members
        .filter(|it| it.is_in_service() && it.healthy)
        .peekable();
    let some = serving.peek().is_some();
    Ok(some && serving.all(|it| targets.get(&it.id) == Some(Health::Healthy)))
}
