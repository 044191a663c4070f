//! Instance refreshes: AWS replaces the instances of a group on its own.
//!
//! Invariant: the group's own template version is left alone. AWS sets it when a refresh succeeds. If it
//! were set earlier, a rollback would lead to the release that failed.

use aws_sdk_autoscaling::types::{
    AlarmSpecification, DesiredConfiguration, LaunchTemplateSpecification, RefreshPreferences,
    RefreshStrategy, ScaleInProtectedInstances, StandbyInstances,
};
use domain::{plan::instance_refresh::Preferences, release::Launch, slice::Slice};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    apply::{change::Change, template_version},
    calls::{
        call::{CANCEL_INSTANCE_REFRESH, ROLLBACK_INSTANCE_REFRESH, START_INSTANCE_REFRESH},
        clients::Clients,
        errors::{Failed, invalid},
    },
    resources::{groups::group, refreshes::last},
};

/// Lets AWS replace the instances of `slice` by `launch`, unless it does so already.
pub async fn start(
    change: &Change<'_>,
    slice: Slice,
    launch: &Launch,
    preferences: &Preferences,
) -> Result<(), ProviderError> {
    let clients = &change.account.clients;
    let name = change.group_name(slice);
    let current = group(clients, &name).await?.launches.ok_or_else(|| {
        invalid(format!(
            "the Auto Scaling group {name} does not launch a numbered version of a launch template, so \
             AWS could not roll a refresh back"
        ))
    })?;
    let goal = template_version::of(change, &current.template, launch).await?;
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
    match clients.make(&START_INSTANCE_REFRESH, request.send()).await {
        // Our own refresh, whose answer was lost or which no poll has shown yet; or somebody else's.
        Err(failed) if failed.is("InstanceRefreshInProgress") => {
            let last = last(clients, &name).await?;
            match last.filter(|it| it.state.is_active()) {
                Some(active) if active.goal.as_ref() == Some(&goal) => Ok(()),
                Some(_) => Err(failed.error),
                // There is one that AWS does not show yet.
                None => Err(ProviderError::new(
                    ErrorKind::Unavailable,
                    failed.error.message,
                )),
            }
        }
        other => Ok(other.map(drop)?),
    }
}

/// Replacements never take the group below 100 % healthy, and AWS rolls back if they do not get healthy.
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
        // Without a final 100 the rest of the group would stay as it is.
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

/// Lets AWS roll its refresh back. If it cannot, the refresh is cancelled, and the engine does the rest.
pub async fn roll_back(clients: &Clients, name: &str) -> Result<(), ProviderError> {
    let request = clients.scaling.rollback_instance_refresh();
    let request = request.auto_scaling_group_name(name);
    match clients
        .make(&ROLLBACK_INSTANCE_REFRESH, request.send())
        .await
    {
        Err(failed) if is_over(&failed) => Ok(()),
        Err(failed) if failed.is("IrreversibleInstanceRefresh") => cancel(clients, name).await,
        other => Ok(other.map(drop)?),
    }
}

/// Lets AWS cancel its refresh. Instances that were replaced stay.
pub async fn cancel(clients: &Clients, name: &str) -> Result<(), ProviderError> {
    let request = clients.scaling.cancel_instance_refresh();
    let request = request.auto_scaling_group_name(name);
    match clients.make(&CANCEL_INSTANCE_REFRESH, request.send()).await {
        Err(failed) if is_over(&failed) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

fn is_over(failed: &Failed) -> bool {
    failed.is("ActiveInstanceRefreshNotFound")
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
