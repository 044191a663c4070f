//! Instance refreshes: AWS replaces the instances of a group on its own.
//!
//! Invariant: the group's own template version is left alone. AWS sets it when a refresh succeeds; had it
//! been set before, a rollback would lead to the release that failed.

use aws_sdk_autoscaling::types::{
    AlarmSpecification, DesiredConfiguration, InstanceRefresh, LaunchTemplateSpecification,
    RefreshPreferences, RefreshStrategy, ScaleInProtectedInstances, StandbyInstances,
};
use domain::{
    catalogue::AwsGroup,
    effect::Target,
    observation::{RefreshSeen, RefreshState, Slice},
    plan::instance_refresh::Preferences,
    release::{Launch, LaunchId},
    time::UnixMs,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    calls::Bucket,
    clients::Clients,
    errors::{failed, invalid},
    groups::{Group, TemplateVersion, group, is_no_group, number, numbered, text},
    label,
    launch::{self, Packages},
    lookout::Lookout,
    templates::Templates,
};

const DESCRIBE: &str = "autoscaling:DescribeInstanceRefreshes";
const START: &str = "autoscaling:StartInstanceRefresh";
const ROLL_BACK: &str = "autoscaling:RollbackInstanceRefresh";
const CANCEL: &str = "autoscaling:CancelInstanceRefresh";

/// The last refresh of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub state: RefreshState,
    /// How it stands, in AWS's words.
    pub text: String,
    /// When it began.
    pub started_at: UnixMs,
    /// How much is replaced, in percent.
    pub percent: u32,
    /// What instances are replaced by, where that is one numbered version.
    pub goal: Option<TemplateVersion>,
}

/// The last refresh of the group `name`; `None`: there is none in the six weeks that AWS remembers.
pub async fn last(clients: &Clients, name: &str) -> Result<Option<Record>, ProviderError> {
    clients.calls.take(Bucket::ScalingRead, DESCRIBE).await;
    let request = clients.scaling.describe_instance_refreshes();
    let answer = request
        .auto_scaling_group_name(name)
        .max_records(1)
        .send()
        .await;
    match answer.map_err(|error| failed(DESCRIBE, &error)) {
        // A group that is gone by now, which the next look will see.
        Err(error) if is_no_group(&error) => Ok(None),
        other => Ok(other?.instance_refreshes().first().map(record)),
    }
}

fn record(refresh: &InstanceRefresh) -> Record {
    let status = refresh.status().map_or("", |status| status.as_str());
    let rollback = refresh.rollback_details();
    let why_back = rollback.and_then(|details| details.rollback_reason());
    let reason = match status {
        // Why it was rolled back says nothing about why that failed.
        "RollbackFailed" => refresh.status_reason().or(why_back),
        _ => why_back.or(refresh.status_reason()),
    };
    let goal = refresh.desired_configuration();
    Record {
        id: text(refresh.instance_refresh_id()),
        state: state(status, refresh.end_time().is_some()),
        text: match reason.filter(|reason| !reason.is_empty()) {
            Some(reason) => format!("{status}: {}", reason.trim_end_matches('.')),
            None => status.to_owned(),
        },
        started_at: refresh
            .start_time()
            .and_then(|at| at.to_millis().ok())
            .map_or(UnixMs(0), UnixMs),
        percent: number(refresh.percentage_complete()),
        goal: goal
            .and_then(|goal| goal.launch_template())
            .and_then(numbered),
    }
}

/// Where a refresh is, by AWS's word for it. A word of tomorrow is under way until it has an end.
fn state(status: &str, has_ended: bool) -> RefreshState {
    match status {
        "Baking" => RefreshState::Baking,
        "Cancelling" => RefreshState::Cancelling,
        "RollbackInProgress" => RefreshState::RollingBack,
        "Successful" => RefreshState::Succeeded,
        "Failed" | "Cancelled" | "RollbackFailed" | "RollbackSuccessful" => RefreshState::Ended,
        _ if has_ended => RefreshState::Ended,
        _ => RefreshState::Running,
    }
}

/// The refresh as an observation shows it.
pub fn seen(record: &Record, templates: &Templates) -> RefreshSeen {
    let goal = record.goal.as_ref();
    let known = goal.and_then(|at| templates.known(at));
    let launch = match (known, goal) {
        (Some(version), _) => version.launch_id(),
        (None, Some(at)) => label::foreign_id(&at.template, at.number),
        (None, None) => LaunchId("unknown".to_owned()),
    };
    RefreshSeen {
        id: record.id.clone(),
        launch,
        state: record.state,
        started_at: record.started_at,
        percent: record.percent,
        text: record.text.clone(),
    }
}

/// Why AWS would not replace the instances of `group` as it should.
pub fn hazard(group: &Group) -> Option<String> {
    let name = &group.name;
    if !group.target_groups.is_empty() && !group.checks_load_balancer {
        return Some(format!(
            "the Auto Scaling group {name} does not use the health checks of its load balancer, so AWS \
             would go on replacing although new instances answer nobody; set its health check type to \
             ELB, or leave --engine out"
        ));
    }
    let stopped = group.suspended.iter().any(|it| it == "InstanceRefresh");
    stopped.then(|| {
        format!(
            "the process InstanceRefresh of the Auto Scaling group {name} is suspended; resume it"
        )
    })
}

/// AWS replaces the instances of `slice` by `launch` from now on, unless it does so already.
pub async fn start(
    lookout: &Lookout,
    packages: &Packages,
    target: &Target,
    aws: &AwsGroup,
    (slice, launch, preferences): (Slice, &Launch, &Preferences),
) -> Result<(), ProviderError> {
    let clients = &**lookout.clients();
    let name = aws.group_name(&target.place, slice);
    let current = group(clients, &name).await?.launches.ok_or_else(|| {
        invalid(format!(
            "the Auto Scaling group {name} does not launch a numbered version of a launch template, so \
             AWS could not take a refresh back"
        ))
    })?;
    let goal = launch::of(lookout, packages, target, aws, &current.template, launch).await?;
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
    fn every_word_of_aws_has_its_state() {
        let rows = [
            ("Pending", false, RefreshState::Running),
            ("InProgress", false, RefreshState::Running),
            ("Baking", false, RefreshState::Baking),
            ("Successful", true, RefreshState::Succeeded),
            ("Failed", true, RefreshState::Ended),
            ("Cancelling", false, RefreshState::Cancelling),
            ("Cancelled", true, RefreshState::Ended),
            ("RollbackInProgress", false, RefreshState::RollingBack),
            ("RollbackFailed", true, RefreshState::Ended),
            ("RollbackSuccessful", true, RefreshState::Ended),
            ("SomethingNew", false, RefreshState::Running),
            ("SomethingNew", true, RefreshState::Ended),
        ];
        for (word, has_ended, expected) in rows {
            assert_eq!(state(word, has_ended), expected, "{word} {has_ended}");
        }
    }

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

    #[test]
    fn groups_that_aws_would_refresh_wrongly_are_known() {
        let good = Group {
            target_groups: vec!["arn".to_owned()],
            checks_load_balancer: true,
            ..Group::default()
        };
        assert_eq!(hazard(&good), None);
        assert_eq!(hazard(&Group::default()), None, "nothing but EC2 to ask");
        let blind = Group {
            checks_load_balancer: false,
            ..good.clone()
        };
        let stopped = Group {
            suspended: vec!["InstanceRefresh".to_owned()],
            ..good
        };
        assert!(hazard(&blind).is_some() && hazard(&stopped).is_some());
    }
}
