//! Users by attachment: a group that is attached to the target group has users, one that is not has
//! none. Whole groups only, no weights.

use domain::{catalogue::AwsGroup, effect::Target, users::Weights};
use engine::ports::ProviderError;

use crate::{
    again::again,
    calls::Bucket,
    clients::Clients,
    errors::{failed, invalid},
    groups::{Group, group},
    shares::SLICES,
    targets::{self, Health},
};

const ATTACH: &str = "autoscaling:AttachLoadBalancerTargetGroups";
const DETACH: &str = "autoscaling:DetachLoadBalancerTargetGroups";

/// Attaches whoever shall have users; detaches the others once those are healthy there. Until then a
/// look shows both, and the next turn asks again.
pub async fn set(
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
    let slices = SLICES.into_iter().take(usize::from(target.group.slices));
    let (mut serving, mut others) = (Vec::new(), Vec::new());
    for slice in slices {
        let group = group(clients, &aws.group_name(&target.place, slice)).await?;
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
    let (bucket, operation) = targets::HEALTH_CALL;
    clients.calls.take(bucket, operation).await;
    let targets = again(|| targets::health(clients, target_group)).await?;
    let members = groups.iter().flat_map(|group| &group.members);
    let mut serving = members
        .filter(|it| it.lifecycle == "InService" && it.healthy)
        .peekable();
    let some = serving.peek().is_some();
    Ok(some && serving.all(|it| targets.get(&it.id) == Some(Health::Healthy)))
}
