//! Instance refreshes: AWS replaces the instances of a group on its own.
//!
//! Invariant: the group's own template version is left alone. AWS sets it when a refresh succeeds; had it
//! been set before, a rollback would lead to the release that failed.

use aws_sdk_autoscaling::types::{
    AlarmSpecification, DesiredConfiguration, LaunchTemplateSpecification, RefreshPreferences,
    RefreshStrategy, ScaleInProtectedInstances, StandbyInstances,
};
use domain::{
    catalogue::AwsGroup, effect::Target, observation::Slice, plan::instance_refresh::Preferences,
    release::Launch,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    account::AwsAccount,
    apply::{launch, packages::Packages},
    calls::{
        clients::Clients,
        errors::{failed, invalid},
        rate_limiter::Bucket,
    },
    resources::{groups::group, refreshes::last},
};

const START: &str = "autoscaling:StartInstanceRefresh";
const ROLL_BACK: &str = "autoscaling:RollbackInstanceRefresh";
const CANCEL: &str = "autoscaling:CancelInstanceRefresh";

/// AWS replaces the instances of `slice` by `launch` from now on, unless it does so already.
pub async fn start(
    account: &AwsAccount,
    packages: &Packages,
    target: &Target,
    aws: &AwsGroup,
    (slice, launch, preferences): (Slice, &Launch, &Preferences),
) -> Result<(), ProviderError> {
    let clients = &*account.clients;
    let name = aws.group_name(&target.place, slice);
    let current = group(clients, &name).await?.launches.ok_or_else(|| {
        invalid(format!(
            "the Auto Scaling group {name} does not launch a numbered version of a launch template, so \
             AWS could not take a refresh back"
        ))
    })?;
    let goal = launch::of(account, packages, target, aws, &current.template, launch).await?;
    clients.calls.take(Bucket::ScalingWrite, START).await;
    let specification = LaunchTemplateSpecification::builder()
        .launch_template_id(&goal.template)
        .version(goal.number.to_string());
    let configuration = DesiredConfiguration::builder().launch_template(specification.build());
    let request = clients
        .scaling
        .start_instance_refresh()
        .auto_scaling_group_name(&name)
        .strategy(RefreshStrategy::Rolling)
        .desired_configuration(configuration.build())
        .preferences(request_of(preferences));
    match request.send().await.map_err(|error| failed(START, &error)) {
        // Our own, whose answer was lost or which was not seen yet; or somebody else's.
        Err(error) if error.message.contains("InstanceRefreshInProgress") => {
            let last = last(clients, &name).await?;
            match last.filter(|it| it.state.is_active()) {
                Some(active) if active.goal.as_ref() == Some(&goal) => Ok(()),
                Some(_) => Err(error),
                // AWS knows one, and does not show it yet.
                None => Err(ProviderError::new(ErrorKind::Unavailable, error.message)),
            }
        }
        other => other.map(drop),
    }
}

/// Nothing is replaced while less than 100 % would be healthy; what does not get healthy is rolled back.
fn request_of(preferences: &Preferences) -> RefreshPreferences {
    let number = |it: u32| i32::try_from(it).unwrap_or(i32::MAX);
    let bake = number(preferences.bake_seconds);
    let builder = RefreshPreferences::builder()
        .min_healthy_percentage(100)
        .max_healthy_percentage(number(preferences.max_healthy_percent))
        .instance_warmup(bake)
        .bake_time(bake)
        .skip_matching(true)
        .auto_rollback(true)
        .scale_in_protected_instances(ScaleInProtectedInstances::Refresh)
        .standby_instances(StandbyInstances::Wait);
    let mut builder = builder;
    if !preferences.checkpoints.is_empty() {
        // Without 100 at the end the rest of the group would stay as it is.
        let shares = preferences.checkpoints.iter().copied().chain([100]);
        builder = builder
            .set_checkpoint_percentages(Some(shares.map(i32::from).collect()))
            .checkpoint_delay(number(preferences.checkpoint_delay_seconds));
    }
    if !preferences.alarms.is_empty() {
        let alarms = AlarmSpecification::builder();
        let alarms = alarms.set_alarms(Some(preferences.alarms.clone()));
        builder = builder.alarm_specification(alarms.build());
    }
    builder.build()
}

/// AWS takes back what it replaced. Where it cannot, it stops at least, and the rest is ours.
pub async fn roll_back(clients: &Clients, name: &str) -> Result<(), ProviderError> {
    clients.calls.take(Bucket::ScalingWrite, ROLL_BACK).await;
    let request = clients.scaling.rollback_instance_refresh();
    let answer = request.auto_scaling_group_name(name).send().await;
    match answer.map_err(|error| failed(ROLL_BACK, &error)) {
        Err(error) if is_over(&error) => Ok(()),
        Err(error) if error.message.contains("IrreversibleInstanceRefresh") => {
            cancel(clients, name).await
        }
        other => other.map(drop),
    }
}

/// AWS stops where it is.
pub async fn cancel(clients: &Clients, name: &str) -> Result<(), ProviderError> {
    clients.calls.take(Bucket::ScalingWrite, CANCEL).await;
    let request = clients.scaling.cancel_instance_refresh();
    let answer = request.auto_scaling_group_name(name).send().await;
    match answer.map_err(|error| failed(CANCEL, &error)) {
        Err(error) if is_over(&error) => Ok(()),
        other => other.map(drop),
    }
}

fn is_over(error: &ProviderError) -> bool {
    error.message.contains("ActiveInstanceRefreshNotFound")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_never_goes_below_what_is_asked_for() {
        let preferences = Preferences {
            max_healthy_percent: 150,
            bake_seconds: 30,
            checkpoints: vec![20, 50],
            checkpoint_delay_seconds: 600,
            alarms: vec!["errors".to_owned()],
        };
        let asked = request_of(&preferences);
        assert_eq!(asked.min_healthy_percentage(), Some(100));
        assert_eq!(asked.max_healthy_percentage(), Some(150));
        assert_eq!(asked.checkpoint_percentages(), [20, 50, 100]);
        assert_eq!(asked.auto_rollback(), Some(true));
    }
}
