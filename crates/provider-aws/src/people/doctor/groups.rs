//! Whether each server group of the account can be deployed to.

use domain::{
    checkup::{Check, CheckStatus},
    effect::Target,
    observation::Observation,
};
use futures_util::{StreamExt, stream};

use super::{Checked, TIMEOUT, Unanswered};
use crate::{observe::observer::Observer, server_group};

/// Most server groups that are checked. Those beyond are only counted.
const GROUPS_MAX: usize = 200;
/// How many server groups are checked at once: they share one poll.
const AT_ONCE: usize = 50;

/// Checks each server group.
pub async fn check(observer: &Observer, targets: &[Target]) -> Vec<Checked> {
    let first = targets.iter().take(GROUPS_MAX).cloned();
    let checks = stream::iter(first).map(|target| async move { group(observer, &target).await });
    let mut checks: Vec<Checked> = checks.buffered(AT_ONCE).collect().await;
    if targets.len() > GROUPS_MAX {
        let more = targets.len() - GROUPS_MAX;
        let text = format!("{more} more server groups were not checked");
        checks.push(Ok(Check::new("groups", CheckStatus::Unchecked, text)));
    }
    checks
}

async fn group(observer: &Observer, target: &Target) -> Checked {
    let name = format!("group {}", target.place);
    match tokio::time::timeout(3 * TIMEOUT, observer.observe(target)).await {
        Err(_) => Err(Unanswered::TimedOut(name, 3 * TIMEOUT)),
        Ok(Err(error)) => Err(Unanswered::Failed(name, error)),
        Ok(Ok(observation)) => Ok(examine(name, target, &observation)),
    }
}

fn examine(name: String, target: &Target, observation: &Observation) -> Check {
    let here = || server_group::slices(target).filter_map(|it| observation.slices.get(&it));
    let obstacles: Vec<String> = here().flat_map(|it| it.obstacles.clone()).collect();
    if !obstacles.is_empty() {
        return Check::new(name, CheckStatus::Failed, obstacles.join("; "))
            .with("deployments are refused until this is resolved");
    }
    let hazard = here().find_map(|slice| slice.hazard.clone());
    let hazard = hazard.map(|it| format!("do not use --strategy instance-refresh here: {it}"));
    let warnings: Vec<String> = here().flat_map(|it| it.warnings.clone()).collect();
    if !warnings.is_empty() {
        let found: Vec<String> = warnings.into_iter().chain(hazard).collect();
        return Check::new(name, CheckStatus::Warning, found.join("; "))
            .with("plans show this too; if it is a quota, raise it in Service Quotas");
    }
    let check = Check::new(
        name,
        CheckStatus::Ok,
        healthy(target, observation).join("; "),
    );
    match hazard {
        Some(hazard) => check.with(hazard),
        None => check,
    }
}

/// How many instances of each Auto Scaling group are healthy.
fn healthy(target: &Target, observation: &Observation) -> Vec<String> {
    let Some(aws) = &target.group.aws else {
        return Vec::new();
    };
    server_group::group_names(target, aws)
        .map(|(slice, name)| match observation.slices.get(&slice) {
            Some(seen) => {
                let (healthy, desired) = (seen.healthy(), seen.sizes.desired);
                format!("{name}: {healthy} of {desired} instances are healthy")
            }
            None => format!("{name}: will be created by the first deployment"),
        })
        .collect()
}
