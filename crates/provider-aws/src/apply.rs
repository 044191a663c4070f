//! One idempotent request to AWS per effect.
//!
//! Invariant: nothing is retried blindly. A request whose answer was lost is followed by a poll, and
//! the next turn asks again only for what is missing then.

use domain::{
    catalogue::{AwsGroup, AwsTraffic},
    effect::{Effect, PROTECT_IDS_MAX, Target},
    observation::{InstanceId, Sizes, Slice},
    users::Weights,
};
use engine::ports::ProviderError;

use crate::{
    account::AwsAccount,
    apply::packages::Packages,
    calls::{
        clients::Clients,
        errors::{failed, invalid},
        rate_limiter::Bucket,
    },
    resources::groups::{REBALANCE, group, is_no_group},
    server_group,
    traffic::{attachment, dns, listener},
};

mod create;
pub mod launch;
pub mod packages;
mod refresh;
mod script;

const UPDATE: &str = "autoscaling:UpdateAutoScalingGroup";
const PROTECT: &str = "autoscaling:SetInstanceProtection";
const SUSPEND: &str = "autoscaling:SuspendProcesses";
const RESUME: &str = "autoscaling:ResumeProcesses";
const TERMINATE: &str = "autoscaling:TerminateInstanceInAutoScalingGroup";

/// Makes the request that `effect` is.
pub async fn apply(
    account: &AwsAccount,
    packages: &Packages,
    target: &Target,
    effect: &Effect,
) -> Result<(), ProviderError> {
    let aws = server_group::settings(target)?;
    let clients = &*account.clients;
    let name = |slice: &Slice| aws.group_name(&target.place, *slice);
    match effect {
        Effect::SetLaunch { slice, launch } => {
            launch::set(account, packages, target, aws, *slice, launch.as_ref()).await
        }
        Effect::SetSizes { slice, sizes } => set_sizes(clients, &name(slice), *sizes).await,
        Effect::SetMin { slice, min } => set_min(clients, &name(slice), *min).await,
        Effect::SetProtection {
            slice,
            instances,
            protected,
        } => protect(clients, &name(slice), instances, *protected).await,
        Effect::SetRebalancing { slice, suspended } => {
            set_rebalancing(clients, &name(slice), *suspended).await
        }
        Effect::Replace { instance, .. } => replace(clients, instance).await,
        Effect::StartRefresh {
            slice,
            launch,
            preferences,
        } => {
            let wish = (*slice, launch, preferences);
            refresh::start(account, packages, target, aws, wish).await
        }
        Effect::RollBackRefresh { slice } => refresh::roll_back(clients, &name(slice)).await,
        Effect::CancelRefresh { slice } => refresh::cancel(clients, &name(slice)).await,
        Effect::SetTraffic {
            mirror: Some(_), ..
        } => Err(invalid(
            "load balancers of AWS do not copy requests (dark traffic)",
        )),
        Effect::SetTraffic { weights, .. } => set_traffic(account, target, aws, weights).await,
    }
}

/// All three in one call: Min and Desired above Max, or Desired below Min, are never seen by anybody.
async fn set_sizes(clients: &Clients, name: &str, sizes: Sizes) -> Result<(), ProviderError> {
    let number = |size: u32| i32::try_from(size).unwrap_or(i32::MAX);
    clients.calls.take(Bucket::ScalingWrite, UPDATE).await;
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(number(sizes.min))
        .desired_capacity(number(sizes.desired))
        .max_size(number(sizes.max));
    match request.send().await.map_err(|error| failed(UPDATE, &error)) {
        // A group that was never made is empty already.
        Err(error) if sizes == Sizes::default() && is_no_group(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Min alone: the group may be scaling itself at this moment, and knows its Desired better.
async fn set_min(clients: &Clients, name: &str, min: u32) -> Result<(), ProviderError> {
    clients.calls.take(Bucket::ScalingWrite, UPDATE).await;
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .min_size(i32::try_from(min).unwrap_or(i32::MAX));
    let answer = request.send().await;
    answer.map(drop).map_err(|error| failed(UPDATE, &error))
}

/// Protection counts from `InService` on, and asking for an instance that is gone fails for all of
/// them; so only those that are there are asked for.
async fn protect(
    clients: &Clients,
    name: &str,
    instances: &[InstanceId],
    protected: bool,
) -> Result<(), ProviderError> {
    let group = group(clients, name).await?;
    let members = group.members.iter().filter(|it| it.is_in_service());
    let wanted = members.filter(|it| it.protected != protected);
    let ids: Vec<String> = wanted
        .filter(|it| instances.iter().any(|id| id.0 == it.id))
        .map(|it| it.id.clone())
        .collect();
    for ids in ids.chunks(PROTECT_IDS_MAX) {
        clients.calls.take(Bucket::ScalingWrite, PROTECT).await;
        let request = clients
            .scaling
            .set_instance_protection()
            .auto_scaling_group_name(name)
            .set_instance_ids(Some(ids.to_vec()))
            .protected_from_scale_in(protected);
        request
            .send()
            .await
            .map_err(|error| failed(PROTECT, &error))?;
    }
    Ok(())
}

async fn set_rebalancing(
    clients: &Clients,
    name: &str,
    suspended: bool,
) -> Result<(), ProviderError> {
    if suspended {
        clients.calls.take(Bucket::ScalingWrite, SUSPEND).await;
        let request = clients.scaling.suspend_processes();
        let request = request
            .auto_scaling_group_name(name)
            .scaling_processes(REBALANCE);
        request
            .send()
            .await
            .map_err(|error| failed(SUSPEND, &error))?;
    } else {
        clients.calls.take(Bucket::ScalingWrite, RESUME).await;
        let request = clients.scaling.resume_processes();
        let request = request
            .auto_scaling_group_name(name)
            .scaling_processes(REBALANCE);
        request
            .send()
            .await
            .map_err(|error| failed(RESUME, &error))?;
    }
    Ok(())
}

/// The group starts another one in its place.
async fn replace(clients: &Clients, instance: &InstanceId) -> Result<(), ProviderError> {
    clients.calls.take(Bucket::ScalingWrite, TERMINATE).await;
    let request = clients
        .scaling
        .terminate_instance_in_auto_scaling_group()
        .instance_id(&instance.0)
        .should_decrement_desired_capacity(false);
    match request
        .send()
        .await
        .map_err(|error| failed(TERMINATE, &error))
    {
        Err(error) if error.message.contains("not found") => Ok(()),
        other => other.map(drop),
    }
}

async fn set_traffic(
    account: &AwsAccount,
    target: &Target,
    aws: &AwsGroup,
    weights: &Weights,
) -> Result<(), ProviderError> {
    let clients = &*account.clients;
    match &aws.traffic {
        // The one slice has the users of its target groups for as long as it runs something.
        AwsTraffic::Group => Ok(()),
        AwsTraffic::Listener { listener, rule } => {
            let arn = listener::arn(listener, rule.as_deref());
            listener::write(clients, target, aws, arn, weights).await
        }
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => {
            let records = dns::Records::new(zone, name, identifiers);
            dns::write(
                clients,
                &account.dns_changes,
                &records,
                weights,
                account.now(),
            )
            .await
        }
        AwsTraffic::Attach { target_group } => {
            attachment::write(clients, target, aws, target_group, weights).await
        }
    }
}
