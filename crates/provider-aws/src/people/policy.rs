//! The IAM policy with the permissions that Pointsman needs in an account, printed from the calls that
//! it makes.

use domain::catalogue::Account;
use serde_json::{Value, json};

use crate::calls::call::{ALL, Call, On};

/// What AWS requires of callers that give a launch template to an Auto Scaling group ("Control Amazon EC2
/// launch template usage", read 2026-11). Pointsman does not make these calls itself.
const TO_LAUNCH: &[&str] = &["ec2:RunInstances", "ec2:CreateTags"];

/// The permissions that Pointsman needs in `account`, and no others, as an IAM policy.
pub fn document(account: &Account) -> Value {
    let region = account.region.as_deref().unwrap_or("*");
    let mut statements = vec![
        statement("Read", On::Everything, &["*".to_owned()]),
        statement(
            "Groups",
            On::Groups,
            &[format!(
                "arn:aws:autoscaling:{region}:*:autoScalingGroup:*:autoScalingGroupName/*"
            )],
        ),
        statement(
            "Listeners",
            On::Listeners,
            &[
                format!("arn:aws:elasticloadbalancing:{region}:*:listener/*"),
                format!("arn:aws:elasticloadbalancing:{region}:*:listener-rule/*"),
            ],
        ),
        statement(
            "Zones",
            On::HostedZones,
            &["arn:aws:route53:::hostedzone/*".to_owned()],
        ),
        json!({"Sid": "Launch", "Effect": "Allow", "Action": TO_LAUNCH, "Resource": "*"}),
        json!({
            "Sid": "InstanceProfiles", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        }),
    ];
    if let Some(bucket) = &account.package_bucket {
        let arn = format!("arn:aws:s3:::{bucket}");
        statements.push(statement(
            "Packages",
            On::Packages,
            &[format!("{arn}/pointsman/*")],
        ));
        statements.push(statement("Bucket", On::PackageBucket, &[arn]));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(name: &str, on: On, resources: &[String]) -> Value {
    let calls = ALL.iter().filter(|call| call.on() == on);
    let actions: Vec<&str> = calls.map(Call::action).collect();
    json!({"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn account(package_bucket: Option<&str>) -> Account {
        let account = json!({"name": "eu", "provider": "aws", "region": "eu-west-1",
            "package_bucket": package_bucket});
        serde_json::from_value(account).unwrap()
    }

    /// The actions of the policy, and what each is limited to.
    fn allowed(document: &Value) -> Vec<(String, String)> {
        let statements = document["Statement"].as_array().unwrap();
        let pairs = statements.iter().flat_map(|statement| {
            let resources = statement["Resource"].to_string();
            let actions = statement["Action"].as_array().unwrap().iter();
            actions.map(move |action| (action.as_str().unwrap().to_owned(), resources.clone()))
        });
        pairs.collect()
    }

    #[test]
    fn the_policy_allows_the_calls_and_what_a_launch_needs_and_nothing_else() {
        let document = document(&account(Some("example-packages")));
        let allowed: Vec<String> = allowed(&document).into_iter().map(|it| it.0).collect();
        let once: BTreeSet<&str> = allowed.iter().map(String::as_str).collect();
        assert_eq!(once.len(), allowed.len(), "{allowed:?}");
        let calls = ALL.iter().filter(|call| call.on() != On::Nothing);
        let needed = calls.map(Call::action).chain(TO_LAUNCH.iter().copied());
        assert_eq!(once, needed.chain(["iam:PassRole"]).collect());
    }

    #[test]
    fn changes_are_limited_to_what_they_are_made_to() {
        let document = document(&account(Some("example-packages")));
        let limits = allowed(&document);
        let limit = |action| &limits.iter().find(|it| it.0 == action).unwrap().1;
        let objects = r#"["arn:aws:s3:::example-packages/pointsman/*"]"#;
        assert_eq!(limit("s3:PutObject"), objects);
        assert_eq!(
            limit("s3:ListBucket"),
            r#"["arn:aws:s3:::example-packages"]"#
        );
        let groups = limit("autoscaling:UpdateAutoScalingGroup");
        assert!(groups.contains("eu-west-1:*:autoScalingGroup:"), "{groups}");
    }

    #[test]
    fn without_a_package_bucket_s3_is_left_out() {
        let document = document(&account(None)).to_string();
        assert!(!document.contains("s3:"), "{document}");
    }
}
