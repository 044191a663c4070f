//! Changes to one Auto Scaling group: its sizes, the protection of its instances, rebalancing, and the
//! replacement of an instance.

use domain::{
    effect::PROTECT_IDS_MAX,
    observation::{InstanceId, Sizes},
};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{
            RESUME_PROCESSES, SET_INSTANCE_PROTECTION, SUSPEND_PROCESSES, TERMINATE_INSTANCE,
            UPDATE_AUTO_SCALING_GROUP,
        },
        clients::Clients,
        errors::VALIDATION_ERROR,
    },
    resources::groups::{REBALANCE, group},
};

/// Sets all three sizes in one call, so that Min and Desired are never above Max, nor Desired below Min.
pub async fn set_sizes(clients: &Clients, name: &str, sizes: Sizes) -> Result<(), ProviderError> {
    let number = |size: u32| i32::try_from(size).unwrap_or(i32::MAX);
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(number(sizes.min))
        .desired_capacity(number(sizes.desired))
        .max_size(number(sizes.max));
    match clients
        .make(&UPDATE_AUTO_SCALING_GROUP, request.send())
        .await
    {
        // Nothing is wrong with sizes of 0: the group was never created, and so it is empty already.
        Err(failed) if sizes == Sizes::default() && failed.is(VALIDATION_ERROR) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

/// Sets Min and Max alone: the group may be scaling itself right now, and its Desired must not be
/// overwritten. AWS moves a Desired that is out of bounds.
pub async fn set_bounds(
    clients: &Clients,
    name: &str,
    min: u32,
    max: u32,
) -> Result<(), ProviderError> {
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(i32::try_from(min).unwrap_or(i32::MAX))
        .max_size(i32::try_from(max).unwrap_or(i32::MAX));
    clients
        .make(&UPDATE_AUTO_SCALING_GROUP, request.send())
        .await?;
    Ok(())
}

/// Protects instances from scale-in, or ends their protection. A request that names an instance which is
/// not in service fails for all of them, so only those in service are named.
pub async fn protect(
    clients: &Clients,
    name: &str,
    instances: &[InstanceId],
    protected: bool,
) -> Result<(), ProviderError> {
    let group = group(clients, name).await?;
    let ids: Vec<String> = group
        .members
        .iter()
        .filter(|it| it.is_in_service() && it.protected != protected)
        .filter(|it| instances.iter().any(|id| id.0 == it.id))
        .map(|it| it.id.clone())
        .collect();
    for ids in ids.chunks(PROTECT_IDS_MAX) {
        let request = clients
            .scaling
            .set_instance_protection()
            .auto_scaling_group_name(name)
            .set_instance_ids(Some(ids.to_vec()))
            .protected_from_scale_in(protected);
        clients
            .make(&SET_INSTANCE_PROTECTION, request.send())
            .await?;
    }
    Ok(())
}

/// Suspends the rebalancing between zones, or resumes it.
pub async fn set_rebalancing(
    clients: &Clients,
    name: &str,
    suspended: bool,
) -> Result<(), ProviderError> {
    if suspended {
        let request = clients.scaling.suspend_processes();
        let request = request
            .auto_scaling_group_name(name)
            .scaling_processes(REBALANCE);
        clients.make(&SUSPEND_PROCESSES, request.send()).await?;
    } else {
        let request = clients.scaling.resume_processes();
        let request = request
            .auto_scaling_group_name(name)
            .scaling_processes(REBALANCE);
        clients.make(&RESUME_PROCESSES, request.send()).await?;
    }
    Ok(())
}

/// Terminates an instance. Its group starts another one in its place.
pub async fn replace(clients: &Clients, instance: &InstanceId) -> Result<(), ProviderError> {
    let request = clients
        .scaling
        .terminate_instance_in_auto_scaling_group()
        .instance_id(&instance.0)
        .should_decrement_desired_capacity(false);
    match clients.make(&TERMINATE_INSTANCE, request.send()).await {
        // The id is all that there is to validate: the instance is gone, or about to be.
        Err(failed) if failed.is(VALIDATION_ERROR) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
