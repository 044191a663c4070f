//! The permissions that Pointsman needs in an account: one table, from which the IAM policy
//! is written.
//!
//! Invariant: each operation that this crate calls is here, and nothing else. A test compares.

use domain::catalogue::Account;
use serde_json::{Value, json};

/// What an operation may be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// AWS takes no narrower limit for it ("Actions, resources, and condition keys" of each service,
    /// read 2026-11), or the names are not known before.
    All,
    /// Auto Scaling groups of this region.
    Groups,
    /// Listeners and their rules.
    Listeners,
    /// Hosted zones.
    Zones,
    /// Objects in the package bucket.
    Packages,
    /// The package bucket.
    Bucket,
}

/// An operation: its name here, its name in IAM where that is another, and what it is limited to.
struct Need(&'static str, &'static str, On);

const NEEDS: &[Need] = &[
    Need("autoscaling:DescribeAccountLimits", "", On::All),
    Need("autoscaling:DescribeAutoScalingGroups", "", On::All),
    Need("autoscaling:DescribeInstanceRefreshes", "", On::All),
    Need("autoscaling:DescribeScalingActivities", "", On::All),
    Need("autoscaling:StartInstanceRefresh", "", On::Groups),
    Need("autoscaling:RollbackInstanceRefresh", "", On::Groups),
    Need("autoscaling:CancelInstanceRefresh", "", On::Groups),
    Need("autoscaling:CreateAutoScalingGroup", "", On::Groups),
    Need("autoscaling:UpdateAutoScalingGroup", "", On::Groups),
    Need("autoscaling:SetInstanceProtection", "", On::Groups),
    Need("autoscaling:SuspendProcesses", "", On::Groups),
    Need("autoscaling:ResumeProcesses", "", On::Groups),
    Need(
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        "",
        On::Groups,
    ),
    Need("autoscaling:AttachLoadBalancerTargetGroups", "", On::Groups),
    Need("autoscaling:DetachLoadBalancerTargetGroups", "", On::Groups),
    Need("ec2:DescribeImages", "", On::All),
    Need("ec2:DescribeInstances", "", On::All),
    Need("ec2:DescribeInstanceStatus", "", On::All),
    Need("ec2:DescribeInstanceTypes", "", On::All),
    Need("ec2:DescribeLaunchTemplateVersions", "", On::All),
    Need("ec2:DescribeSubnets", "", On::All),
    Need("ec2:CreateLaunchTemplate", "", On::All),
    Need("ec2:CreateLaunchTemplateVersion", "", On::All),
    Need(
        "elb:DescribeListeners",
        "elasticloadbalancing:DescribeListeners",
        On::All,
    ),
    Need(
        "elb:DescribeRules",
        "elasticloadbalancing:DescribeRules",
        On::All,
    ),
    Need(
        "elb:DescribeTargetGroups",
        "elasticloadbalancing:DescribeTargetGroups",
        On::All,
    ),
    Need(
        "elb:DescribeTargetHealth",
        "elasticloadbalancing:DescribeTargetHealth",
        On::All,
    ),
    Need(
        "elb:ModifyListener",
        "elasticloadbalancing:ModifyListener",
        On::Listeners,
    ),
    Need(
        "elb:ModifyRule",
        "elasticloadbalancing:ModifyRule",
        On::Listeners,
    ),
    Need("route53:ListResourceRecordSets", "", On::Zones),
    Need("route53:ChangeResourceRecordSets", "", On::Zones),
    Need("route53:GetChange", "", On::All),
    Need("cloudwatch:DescribeAlarms", "", On::All),
    Need("cloudwatch:GetMetricData", "", On::All),
    Need("s3:HeadBucket", "s3:ListBucket", On::Bucket),
    Need("s3:HeadObject", "s3:GetObject", On::Packages),
    Need("s3:PutObject", "", On::Packages),
];

/// What no call of ours asks for by name, and AWS demands of whoever hands a launch template to an Auto
/// Scaling group ("Control Amazon EC2 launch template usage", read 2026-11).
const BESIDES: &[&str] = &["ec2:RunInstances", "ec2:CreateTags"];

/// The least that Pointsman needs in `account`, as an IAM policy.
pub fn document(account: &Account) -> Value {
    let region = account.region.as_deref().unwrap_or("*");
    let mut statements = vec![
        statement("Look", On::All, vec!["*".to_owned()]),
        statement(
            "Groups",
            On::Groups,
            vec![format!(
                "arn:aws:autoscaling:{region}:*:autoScalingGroup:*:autoScalingGroupName/*"
            )],
        ),
        statement(
            "Listeners",
            On::Listeners,
            vec![
                format!("arn:aws:elasticloadbalancing:{region}:*:listener/*"),
                format!("arn:aws:elasticloadbalancing:{region}:*:listener-rule/*"),
            ],
        ),
        statement(
            "Zones",
            On::Zones,
            vec!["arn:aws:route53:::hostedzone/*".to_owned()],
        ),
    ];
    statements.push(json!({
        "Sid": "Launch", "Effect": "Allow", "Action": BESIDES, "Resource": "*",
    }));
    statements.push(json!({
        "Sid": "InstanceProfiles", "Effect": "Allow", "Action": ["iam:PassRole"], "Resource": "*",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }));
    if let Some(bucket) = &account.package_bucket {
        let arn = format!("arn:aws:s3:::{bucket}");
        statements.push(statement(
            "Packages",
            On::Packages,
            vec![format!("{arn}/pointsman/*")],
        ));
        statements.push(statement("Bucket", On::Bucket, vec![arn]));
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn statement(name: &str, on: On, resources: Vec<String>) -> Value {
    let actions = NEEDS.iter().filter(|need| need.2 == on).map(iam);
    let actions: Vec<&str> = actions.collect();
    json!({"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resources})
}

fn iam(need: &Need) -> &'static str {
    if need.1.is_empty() { need.0 } else { need.1 }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::PathBuf};

    use super::*;

    /// Every `"service:Operation"` in the sources of this crate, but for this file.
    fn called() -> BTreeSet<String> {
        let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut sources = Vec::new();
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("policy.rs") {
                    sources.push(std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let services = ["autoscaling", "ec2", "elb", "route53", "cloudwatch", "s3"];
        let mut found = BTreeSet::new();
        for source in sources {
            for word in source.split('"').skip(1).step_by(2) {
                let parts = word.split_once(':').filter(|(service, operation)| {
                    services.contains(service)
                        && operation.chars().all(char::is_alphanumeric)
                        && operation.starts_with(char::is_uppercase)
                });
                if parts.is_some() {
                    found.insert(word.to_owned());
                }
            }
        }
        found
    }

    #[test]
    fn the_policy_allows_what_is_called_and_nothing_else() {
        // `sts:GetCallerIdentity` needs no permission.
        let needed: BTreeSet<String> = NEEDS.iter().map(|need| need.0.to_owned()).collect();
        assert_eq!(needed, called());
    }

    #[test]
    fn every_need_comes_into_the_document() {
        let account = json!({"name": "eu", "provider": "aws", "region": "eu-west-1",
            "package_bucket": "example-packages"});
        let text = document(&serde_json::from_value(account).unwrap()).to_string();
        for need in NEEDS {
            assert!(text.contains(&format!("\"{}\"", iam(need))), "{}", need.0);
        }
        assert!(
            text.contains("arn:aws:s3:::example-packages/pointsman/*"),
            "{text}"
        );
    }
}
