//! Weights at an Application Load Balancer: the forward action of a listener or of a rule.
//!
//! A change replaces the whole list of actions. So the list is read, the weights of the server group's
//! target groups are changed in it, and everything else is written back as it was.

use std::collections::BTreeMap;

pub use aws_sdk_elasticloadbalancingv2::types::Action;
use aws_sdk_elasticloadbalancingv2::types::{
    ActionTypeEnum, ForwardActionConfig, TargetGroupStickinessConfig, TargetGroupTuple,
};
use domain::{
    catalogue::{AwsGroup, ServerGroup, Stickiness},
    effect::Target,
    slice::Slice,
    users::Weights,
};
use engine::ports::ProviderError;

use crate::{
    calls::{
        call::{DESCRIBE_LISTENERS, DESCRIBE_RULES, MODIFY_LISTENER, MODIFY_RULE},
        clients::Clients,
        errors::{invalid, missing},
    },
    server_group::{self, SLICES},
    traffic::weights::{self, Split},
};

/// Most rules or listeners that are asked for in one call.
const ARNS_MAX: usize = 20;
/// Longest stickiness of a forward action, in seconds ("Target group stickiness", 2026-11).
const STICKY_SECONDS_MAX: u32 = 604_800;

/// Lists of actions, by the ARN of their listener or rule.
pub type Actions = BTreeMap<String, Vec<Action>>;

/// The ARN whose actions split the users: the rule's, or the listener's.
pub fn arn<'a>(listener: &'a str, rule: Option<&'a str>) -> &'a str {
    rule.unwrap_or(listener)
}

fn is_rule(arn: &str) -> bool {
    arn.contains(":listener-rule/")
}

/// The actions of these listeners and rules.
pub async fn actions(clients: &Clients, arns: &[String]) -> Result<Actions, ProviderError> {
    let (rules, listeners): (Vec<String>, Vec<String>) =
        arns.iter().cloned().partition(|arn| is_rule(arn));
    let mut found = Actions::new();
    for arns in listeners.chunks(ARNS_MAX) {
        let request = clients.elb.describe_listeners();
        let request = request.set_listener_arns(Some(arns.to_vec()));
        let answer = clients.make(&DESCRIBE_LISTENERS, request.send()).await?;
        for it in answer.listeners() {
            let arn = it.listener_arn().unwrap_or_default().to_owned();
            found.insert(arn, it.default_actions().to_vec());
        }
    }
    for arns in rules.chunks(ARNS_MAX) {
        let request = clients.elb.describe_rules();
        let request = request.set_rule_arns(Some(arns.to_vec()));
        let answer = clients.make(&DESCRIBE_RULES, request.send()).await?;
        for it in answer.rules() {
            let arn = it.rule_arn().unwrap_or_default().to_owned();
            found.insert(arn, it.actions().to_vec());
        }
    }
    Ok(found)
}

/// How `actions` split the users between the target groups of `aws`.
pub fn read(actions: &[Action], aws: &AwsGroup) -> Split {
    let Some(forward) = actions.iter().find(|it| is_forward(it)) else {
        return Split {
            obstacles: vec!["the listener forwards to no target group".to_owned()],
            ..Split::default()
        };
    };
    let tuples = tuples(forward);
    let weight = |slice: Slice| {
        let ours = tuples
            .iter()
            .filter(|it| it.target_group_arn() == aws.target_group(slice));
        ours.map(|it| u64::try_from(it.weight().unwrap_or(1)).unwrap_or(0))
            .sum()
    };
    let weights: Vec<(Slice, u64)> = SLICES
        .into_iter()
        .filter(|slice| aws.target_group(*slice).is_some())
        .map(|slice| (slice, weight(slice)))
        .collect();
    let foreign = tuples.iter().filter(|it| {
        let ours = aws
            .target_groups
            .iter()
            .any(|arn| it.target_group_arn() == Some(arn));
        !ours && it.weight().unwrap_or(1) > 0
    });
    let obstacles = foreign.map(|it| {
        let arn = it.target_group_arn().unwrap_or_default();
        format!("the listener also forwards users to the target group {arn}")
    });
    Split {
        obstacles: obstacles.collect(),
        ..Split::new(weights::percent(&weights))
    }
}

/// Whether the forward action of `actions` names both target groups.
pub fn names_both(actions: &[Action], one: &str, other: &str) -> bool {
    let Some(forward) = actions.iter().find(|it| is_forward(it)) else {
        return false;
    };
    let tuples = tuples(forward);
    let named = |arn| tuples.iter().any(|it| it.target_group_arn() == Some(arn));
    named(one) && named(other)
}

/// Splits the users of the listener or rule `arn` as `weights` says.
pub async fn write(
    clients: &Clients,
    target: &Target,
    aws: &AwsGroup,
    arn: &str,
    weights: &Weights,
) -> Result<(), ProviderError> {
    let found = actions(clients, &[arn.to_owned()]).await?;
    let actions = found.get(arn);
    let actions = actions.ok_or_else(|| missing(format!("there is no listener or rule {arn}")))?;
    let actions = changed(actions, target, aws, weights)?;
    if is_rule(arn) {
        let request = clients.elb.modify_rule().rule_arn(arn);
        let request = request.set_actions(Some(actions));
        clients.make(&MODIFY_RULE, request.send()).await?;
    } else {
        let request = clients.elb.modify_listener().listener_arn(arn);
        let request = request.set_default_actions(Some(actions));
        clients.make(&MODIFY_LISTENER, request.send()).await?;
    }
    Ok(())
}

/// The whole list, with the new weights.
fn changed(
    actions: &[Action],
    target: &Target,
    aws: &AwsGroup,
    weights: &Weights,
) -> Result<Vec<Action>, ProviderError> {
    let at = actions.iter().position(is_forward);
    let at = at.ok_or_else(|| invalid("the listener forwards to no target group"))?;
    let mut changed = actions.to_vec();
    let forward = &actions[at];
    let mut tuples = tuples(forward);
    tuples.retain(|it| {
        !aws.target_groups
            .iter()
            .any(|arn| it.target_group_arn() == Some(arn))
    });
    for slice in server_group::slices(target) {
        let arn = aws.target_group(slice);
        let arn =
            arn.ok_or_else(|| invalid(format!("the manifest names no target group for {slice}")))?;
        let weight = i32::from(weights.share(slice));
        let tuple = TargetGroupTuple::builder()
            .target_group_arn(arn)
            .weight(weight);
        tuples.push(tuple.build());
    }
    let kept = forward
        .forward_config()
        .and_then(|it| it.target_group_stickiness_config());
    let config = ForwardActionConfig::builder()
        .set_target_groups(Some(tuples))
        .set_target_group_stickiness_config(stickiness(&target.group).or_else(|| kept.cloned()));
    let mut action = Action::builder()
        .r#type(ActionTypeEnum::Forward)
        .forward_config(config.build());
    action = action.set_order(forward.order());
    changed[at] = action.build();
    Ok(changed)
}

/// The stickiness that the manifest asks for: the cookie `AWSALBTG` keeps users with a target group.
fn stickiness(group: &ServerGroup) -> Option<TargetGroupStickinessConfig> {
    let Some(Stickiness::Cookie { seconds }) = &group.stickiness else {
        return None;
    };
    let seconds = (*seconds).clamp(1, STICKY_SECONDS_MAX);
    let config = TargetGroupStickinessConfig::builder().enabled(true);
    Some(
        config
            .duration_seconds(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build(),
    )
}

fn is_forward(action: &Action) -> bool {
    action.r#type() == Some(&ActionTypeEnum::Forward)
}

/// The target groups of a forward action, which has two ways to name them.
fn tuples(forward: &Action) -> Vec<TargetGroupTuple> {
    let config = forward
        .forward_config()
        .map(ForwardActionConfig::target_groups);
    let listed = config.unwrap_or_default();
    match (listed, forward.target_group_arn()) {
        ([], Some(arn)) => vec![
            TargetGroupTuple::builder()
                .target_group_arn(arn)
                .weight(1)
                .build(),
        ],
        _ => listed.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> (Target, AwsGroup) {
        let aws = serde_json::json!({
            "account": "one", "target_groups": ["arn:tg/blue", "arn:tg/green"],
            "traffic": {"by": "listener", "listener": "arn:listener"},
        });
        let group = serde_json::json!({
            "service": "shop", "environment": "live", "size": 2, "slices": 2, "aws": aws,
        });
        let group: ServerGroup = serde_json::from_value(group).unwrap();
        let aws = group.aws.clone().unwrap();
        (Target::local(group.place(), group), aws)
    }

    fn forward(to: &[(&str, i32)]) -> Action {
        let tuples = to.iter().map(|(arn, weight)| {
            TargetGroupTuple::builder()
                .target_group_arn(*arn)
                .weight(*weight)
                .build()
        });
        let sticky = TargetGroupStickinessConfig::builder()
            .enabled(true)
            .duration_seconds(60);
        let config = ForwardActionConfig::builder()
            .set_target_groups(Some(tuples.collect()))
            .target_group_stickiness_config(sticky.build());
        let action = Action::builder().r#type(ActionTypeEnum::Forward).order(2);
        action.forward_config(config.build()).build()
    }

    fn login() -> Action {
        Action::builder()
            .r#type(ActionTypeEnum::AuthenticateOidc)
            .order(1)
            .build()
    }

    #[test]
    fn weights_are_changed_and_everything_else_is_kept() {
        let (target, aws) = target();
        let before = [login(), forward(&[("arn:tg/blue", 1), ("arn:tg/other", 0)])];
        let weights = Weights::from([(Slice::Blue, 90), (Slice::Green, 10)]);
        let after = changed(&before, &target, &aws, &weights).unwrap();
        assert_eq!(after[0], login());
        assert_eq!(after[1].order(), Some(2));
        let config = after[1].forward_config().unwrap();
        let sticky = config.target_group_stickiness_config().unwrap();
        assert_eq!(sticky.duration_seconds(), Some(60));
        let arns: Vec<_> = config
            .target_groups()
            .iter()
            .map(|it| (it.target_group_arn().unwrap(), it.weight().unwrap()))
            .collect();
        assert_eq!(
            arns,
            [
                ("arn:tg/other", 0),
                ("arn:tg/blue", 90),
                ("arn:tg/green", 10)
            ]
        );
        assert_eq!(read(&after, &aws), Split::new(weights));
    }

    #[test]
    fn one_target_group_without_weights_has_all_users() {
        let (_, aws) = target();
        let plain = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("arn:tg/green");
        let split = read(&[plain.build()], &aws);
        assert_eq!(split, Split::new(Weights::from([(Slice::Green, 100)])));
    }

    #[test]
    fn users_of_somebody_else_are_an_obstacle() {
        let (_, aws) = target();
        let split = read(&[forward(&[("arn:tg/blue", 1), ("arn:tg/other", 1)])], &aws);
        assert_eq!(
            split.obstacles,
            ["the listener also forwards users to the target group arn:tg/other"]
        );
        let split = read(&[login()], &aws);
        assert!(split.weights.is_empty() && split.obstacles.len() == 1);
    }
}
