//! Instance refreshes as AWS reports them; `apply/refresh.rs` starts and stops them.

use aws_sdk_autoscaling::types::InstanceRefresh;
use domain::{
    observation::{RefreshSeen, RefreshState},
    release::LaunchId,
    time::UnixMs,
};
use engine::ports::ProviderError;

use crate::{
    calls::{call::DESCRIBE_INSTANCE_REFRESHES, clients::Clients, errors::VALIDATION_ERROR},
    resources::{
        description,
        groups::{Group, TemplateVersion, number, numbered, text},
        templates::Templates,
    },
};

/// The last refresh of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: RefreshState,
    /// Its status and the reason for it, in AWS's words.
    pub text: String,
    /// When it began.
    pub started_at: UnixMs,
    /// How many of the instances are replaced, in percent.
    pub percent: u32,
    /// What new instances start from, if that is a numbered version.
    pub goal: Option<TemplateVersion>,
}

/// The last refresh of the group `name`; `None`: there is none in the six weeks that AWS remembers.
pub async fn last(clients: &Clients, name: &str) -> Result<Option<Refresh>, ProviderError> {
    let request = clients.scaling.describe_instance_refreshes();
    let request = request.auto_scaling_group_name(name).max_records(1);
    match clients
        .make(&DESCRIBE_INSTANCE_REFRESHES, request.send())
        .await
    {
        // The name is all that there is to validate: the group is gone, which the next poll will show.
        Err(failed) if failed.is(VALIDATION_ERROR) => Ok(None),
        other => Ok(other?.instance_refreshes().first().map(read)),
    }
}

fn read(refresh: &InstanceRefresh) -> Refresh {
    let status = refresh.status().map_or("", |status| status.as_str());
    let rollback = refresh.rollback_details();
    let why_back = rollback.and_then(|details| details.rollback_reason());
    let reason = match status {
        // The reason for the rollback does not say why the rollback failed.
        "RollbackFailed" => refresh.status_reason().or(why_back),
        _ => why_back.or(refresh.status_reason()),
    };
    let goal = refresh.desired_configuration();
    Refresh {
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

/// The state of a refresh by AWS's word for it. An unknown word counts as running until there is an end
/// time.
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

impl Refresh {
    /// The refresh as an observation shows it.
    pub fn observed(&self, templates: &Templates) -> RefreshSeen {
        let known = self.goal.as_ref().and_then(|at| templates.known(at));
        let launch = match (known, &self.goal) {
            (Some(version), _) => version.launch_id(),
            (None, Some(at)) => description::foreign_id(&at.template, at.number),
            (None, None) => LaunchId("unknown".to_owned()),
        };
        RefreshSeen {
            id: self.id.clone(),
            launch,
            state: self.state,
            started_at: self.started_at,
            percent: self.percent,
            text: self.text.clone(),
        }
    }
}

/// Why AWS cannot be trusted to replace the instances of `group`.
pub fn hazard(group: &Group) -> Option<String> {
    let name = &group.name;
    if !group.target_groups.is_empty() && !group.checks_load_balancer {
        return Some(format!(
            "the Auto Scaling group {name} does not use the health checks of its load balancer, so AWS \
             would go on although new instances fail them; set its health check type to ELB, or deploy \
             with --strategy scale-up"
        ));
    }
    let stopped = group.suspended.iter().any(|it| it == "InstanceRefresh");
    stopped.then(|| {
        format!(
            "the process InstanceRefresh of the Auto Scaling group {name} is suspended; resume it"
        )
    })
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
    fn hazards_of_a_refresh_are_found() {
        let good = Group {
            target_groups: vec!["arn".to_owned()],
            checks_load_balancer: true,
            ..Group::default()
        };
        assert_eq!(hazard(&good), None);
        assert_eq!(
            hazard(&Group::default()),
            None,
            "no load balancer, no hazard"
        );
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
