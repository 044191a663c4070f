//! Every call that this crate makes to AWS: its name, the rate limit that it counts against, and the
//! permission that it needs.
//!
//! Invariant: only the table below makes a [`Call`], and [`Clients::make`] takes nothing else. So nothing
//! is called that the IAM policy leaves out, and a row that nobody uses does not pass the lints.
//!
//! [`Clients::make`]: crate::calls::clients::Clients::make

use crate::calls::bucket::Bucket;

/// An operation of AWS.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    name: &'static str,
    action: &'static str,
    bucket: Bucket,
    on: On,
}

/// What the permission for a call is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// No permission is needed.
    Nothing,
    /// Every resource: AWS supports no narrower limit ("Actions, resources, and condition keys" of each
    /// service, read 2026-11), or the names are not known beforehand.
    Everything,
    /// The Auto Scaling groups of a region.
    Groups,
    /// The listeners of a region and their rules.
    Listeners,
    /// Hosted zones.
    HostedZones,
    /// The package bucket.
    PackageBucket,
    /// The packages in it.
    Packages,
}

impl Call {
    const fn new(name: &'static str, bucket: Bucket, on: On) -> Self {
        Self {
            name,
            action: name,
            bucket,
            on,
        }
    }

    /// For operations that IAM knows by the name of another one.
    const fn allowed_by(self, action: &'static str) -> Self {
        Self { action, ..self }
    }

    /// Its name: `ec2:DescribeImages`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The rate limit that it counts against.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The action that an IAM policy has to allow.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// What that permission is limited to.
    pub fn on(&self) -> On {
        self.on
    }
}

/// One constant per row, and [`ALL`] of them.
macro_rules! calls {
    ($($constant:ident = $name:literal $(by $action:literal)?, $bucket:ident, $on:ident;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub const $constant: Call =
                Call::new($name, Bucket::$bucket, On::$on)$(.allowed_by($action))?;
        )*

        /// Every call.
        pub const ALL: &[Call] = &[
            $(Call::new($name, Bucket::$bucket, On::$on)$(.allowed_by($action))?,)*
        ];
    };
}

calls! {
    DESCRIBE_ACCOUNT_LIMITS = "autoscaling:DescribeAccountLimits", ScalingRead, Everything;
    DESCRIBE_AUTO_SCALING_GROUPS = "autoscaling:DescribeAutoScalingGroups", ScalingRead, Everything;
    DESCRIBE_INSTANCE_REFRESHES = "autoscaling:DescribeInstanceRefreshes", ScalingRead, Everything;
    DESCRIBE_SCALING_ACTIVITIES = "autoscaling:DescribeScalingActivities", ScalingRead, Everything;
    START_INSTANCE_REFRESH = "autoscaling:StartInstanceRefresh", ScalingWrite, Groups;
    ROLLBACK_INSTANCE_REFRESH = "autoscaling:RollbackInstanceRefresh", ScalingWrite, Groups;
    CANCEL_INSTANCE_REFRESH = "autoscaling:CancelInstanceRefresh", ScalingWrite, Groups;
    CREATE_AUTO_SCALING_GROUP = "autoscaling:CreateAutoScalingGroup", ScalingWrite, Groups;
    UPDATE_AUTO_SCALING_GROUP = "autoscaling:UpdateAutoScalingGroup", ScalingWrite, Groups;
    SET_INSTANCE_PROTECTION = "autoscaling:SetInstanceProtection", ScalingWrite, Groups;
    SUSPEND_PROCESSES = "autoscaling:SuspendProcesses", ScalingWrite, Groups;
    RESUME_PROCESSES = "autoscaling:ResumeProcesses", ScalingWrite, Groups;
    TERMINATE_INSTANCE = "autoscaling:TerminateInstanceInAutoScalingGroup", ScalingWrite, Groups;
    ATTACH_TARGET_GROUPS = "autoscaling:AttachLoadBalancerTargetGroups", ScalingWrite, Groups;
    DETACH_TARGET_GROUPS = "autoscaling:DetachLoadBalancerTargetGroups", ScalingWrite, Groups;

    DESCRIBE_IMAGES = "ec2:DescribeImages", Ec2Read, Everything;
    DESCRIBE_INSTANCES = "ec2:DescribeInstances", Ec2Read, Everything;
    DESCRIBE_INSTANCE_STATUS = "ec2:DescribeInstanceStatus", Ec2Read, Everything;
    DESCRIBE_INSTANCE_TYPES = "ec2:DescribeInstanceTypes", Ec2Read, Everything;
    DESCRIBE_LAUNCH_TEMPLATE_VERSIONS = "ec2:DescribeLaunchTemplateVersions", Ec2Read, Everything;
    DESCRIBE_SUBNETS = "ec2:DescribeSubnets", Ec2Read, Everything;
    CREATE_LAUNCH_TEMPLATE = "ec2:CreateLaunchTemplate", Ec2Write, Everything;
    CREATE_LAUNCH_TEMPLATE_VERSION = "ec2:CreateLaunchTemplateVersion", Ec2Write, Everything;

    DESCRIBE_LISTENERS = "elasticloadbalancing:DescribeListeners", ElbRead, Everything;
    DESCRIBE_RULES = "elasticloadbalancing:DescribeRules", ElbRead, Everything;
    DESCRIBE_TARGET_GROUPS = "elasticloadbalancing:DescribeTargetGroups", ElbRead, Everything;
    DESCRIBE_TARGET_HEALTH = "elasticloadbalancing:DescribeTargetHealth", ElbRead, Everything;
    MODIFY_LISTENER = "elasticloadbalancing:ModifyListener", ElbWrite, Listeners;
    MODIFY_RULE = "elasticloadbalancing:ModifyRule", ElbWrite, Listeners;

    LIST_RECORD_SETS = "route53:ListResourceRecordSets", Dns, HostedZones;
    CHANGE_RECORD_SETS = "route53:ChangeResourceRecordSets", Dns, HostedZones;
    GET_CHANGE = "route53:GetChange", Dns, Everything;

    DESCRIBE_ALARMS = "cloudwatch:DescribeAlarms", Other, Everything;
    GET_METRIC_DATA = "cloudwatch:GetMetricData", Other, Everything;
    HEAD_BUCKET = "s3:HeadBucket" by "s3:ListBucket", Other, PackageBucket;
    HEAD_OBJECT = "s3:HeadObject" by "s3:GetObject", Other, Packages;
    PUT_OBJECT = "s3:PutObject", Other, Packages;
    GET_CALLER_IDENTITY = "sts:GetCallerIdentity", Other, Nothing;
}
