//! Whether each service of AWS answers, by a read that changes nothing.

use std::time::Instant;

use aws_sdk_ec2::types::RequestLaunchTemplateData;
use domain::{
    catalogue::AwsTraffic,
    checkup::{Check, CheckStatus},
    effect::Target,
};
use engine::ports::{ErrorKind, ProviderError};
use futures_util::{FutureExt, future::join_all};

use super::{Checked, TIMEOUT, Unanswered};
use crate::{
    account::AwsAccount,
    calls::{
        call::{
            CREATE_LAUNCH_TEMPLATE, DESCRIBE_ACCOUNT_LIMITS, DESCRIBE_ALARMS,
            DESCRIBE_INSTANCE_STATUS, DESCRIBE_INSTANCE_TYPES, DESCRIBE_SCALING_ACTIVITIES,
            DESCRIBE_TARGET_GROUPS, HEAD_BUCKET, LIST_RECORD_SETS,
        },
        clients::Clients,
        errors::invalid,
    },
    resources::quotas::{self, Class, Usage},
};

/// The status of a check, and what was found.
type Found = Result<(CheckStatus, String), ProviderError>;

/// Checks every service.
pub async fn check(account: &AwsAccount, targets: &[Target]) -> Vec<Checked> {
    let clients = &*account.clients;
    let checks = [
        timed("auto scaling", scaling(clients)).boxed(),
        timed("ec2", ec2(clients)).boxed(),
        timed("vcpu quota", vcpus(account)).boxed(),
        timed("launch templates", dry_run(clients)).boxed(),
        timed("load balancers", balancers(clients)).boxed(),
        timed("cloudwatch", alarms(clients)).boxed(),
        timed("route 53", records(clients, targets)).boxed(),
        timed("package bucket", bucket(clients)).boxed(),
    ];
    join_all(checks).await
}

async fn timed(name: &str, check: impl Future<Output = Found>) -> Checked {
    let began = Instant::now();
    let Ok(found) = tokio::time::timeout(TIMEOUT, check).await else {
        return Err(Unanswered::TimedOut(name.to_owned(), TIMEOUT));
    };
    match found {
        Ok((status @ CheckStatus::Ok, text)) => {
            let took_ms = began.elapsed().as_millis();
            Ok(Check::new(name, status, format!("{text}, in {took_ms} ms")))
        }
        Ok((status, text)) => Ok(Check::new(name, status, text)),
        Err(error) => Err(Unanswered::Failed(name.to_owned(), error)),
    }
}

async fn scaling(clients: &Clients) -> Found {
    let limits = clients.scaling.describe_account_limits();
    let limits = clients
        .make(&DESCRIBE_ACCOUNT_LIMITS, limits.send())
        .await?;
    let activities = clients.scaling.describe_scaling_activities().max_records(1);
    clients
        .make(&DESCRIBE_SCALING_ACTIVITIES, activities.send())
        .await?;
    let allowed = limits.max_number_of_auto_scaling_groups().unwrap_or(0);
    let used = limits.number_of_auto_scaling_groups().unwrap_or(0);
    let text = format!("{used} of {allowed} Auto Scaling groups are in use");
    let full = allowed > 0 && used * 5 >= allowed * 4;
    Ok(if full {
        let more = format!("{text}; raise the quota before groups are created");
        (CheckStatus::Warning, more)
    } else {
        (CheckStatus::Ok, text)
    })
}

async fn ec2(clients: &Clients) -> Found {
    let status = clients.ec2.describe_instance_status().max_results(5);
    clients
        .make(&DESCRIBE_INSTANCE_STATUS, status.send())
        .await?;
    let types = clients.ec2.describe_instance_types().max_results(5);
    clients.make(&DESCRIBE_INSTANCE_TYPES, types.send()).await?;
    Ok((CheckStatus::Ok, "instances can be read".to_owned()))
}

/// A deployment may start a second copy of a group.
async fn vcpus(account: &AwsAccount) -> Found {
    let class = Class::STANDARD;
    let usage = quotas::usage(&account.clients, class, account.now()).await?;
    let Some(Usage { used, quota }) = usage else {
        let text = format!("CloudWatch has no numbers for the vCPU quota {class}");
        return Ok((CheckStatus::Unchecked, text));
    };
    let text = format!("{used} of {quota} vCPUs of {class} are in use");
    Ok(if used * 5 >= quota * 4 {
        let more = format!("{text}; raise the quota before groups are doubled");
        (CheckStatus::Warning, more)
    } else {
        (CheckStatus::Ok, text)
    })
}

/// Only EC2 has dry runs.
async fn dry_run(clients: &Clients) -> Found {
    let data = RequestLaunchTemplateData::builder().build();
    let request = clients.ec2.create_launch_template().dry_run(true);
    let request = request.launch_template_name("pointsman-doctor");
    let request = request.launch_template_data(data);
    match clients.make(&CREATE_LAUNCH_TEMPLATE, request.send()).await {
        Err(failed) if failed.is("DryRunOperation") => {
            Ok((CheckStatus::Ok, "can be created".to_owned()))
        }
        Err(failed) => Err(failed.error),
        Ok(_) => Err(invalid(
            "EC2 did not treat the dry run of a launch template as one",
        )),
    }
}

async fn balancers(clients: &Clients) -> Found {
    let request = clients.elb.describe_target_groups().page_size(1);
    clients
        .make(&DESCRIBE_TARGET_GROUPS, request.send())
        .await?;
    Ok((CheckStatus::Ok, "target groups can be read".to_owned()))
}

async fn alarms(clients: &Clients) -> Found {
    let request = clients.cloudwatch.describe_alarms().max_records(1);
    clients.make(&DESCRIBE_ALARMS, request.send()).await?;
    Ok((CheckStatus::Ok, "alarms can be read".to_owned()))
}

async fn records(clients: &Clients, targets: &[Target]) -> Found {
    let aws = targets
        .iter()
        .filter_map(|target| target.group.aws.as_ref());
    let mut zones = aws.filter_map(|aws| match &aws.traffic {
        AwsTraffic::Dns { zone, .. } => Some(zone),
        _ => None,
    });
    let Some(zone) = zones.next() else {
        let text = "no server group here moves users by DNS";
        return Ok((CheckStatus::Unchecked, text.to_owned()));
    };
    let request = clients.dns.list_resource_record_sets();
    let request = request.hosted_zone_id(zone).max_items(1);
    clients.make(&LIST_RECORD_SETS, request.send()).await?;
    Ok((
        CheckStatus::Ok,
        format!("the records of {zone} can be read"),
    ))
}

async fn bucket(clients: &Clients) -> Found {
    let Some(bucket) = &clients.account.package_bucket else {
        let text = "the account has none, so releases must be machine images";
        return Ok((CheckStatus::Unchecked, text.to_owned()));
    };
    let request = clients.s3.head_bucket().bucket(bucket);
    match clients.make(&HEAD_BUCKET, request.send()).await {
        Ok(_) => Ok((CheckStatus::Ok, format!("{bucket} exists"))),
        Err(failed) if failed.is("NotFound") => {
            Err(invalid(format!("there is no S3 bucket {bucket}")))
        }
        Err(failed) if failed.error.kind == ErrorKind::Denied => {
            let name = HEAD_BUCKET.name();
            let text = format!("AWS {name}: access to the bucket {bucket} is denied");
            Err(ProviderError::new(ErrorKind::Denied, text))
        }
        Err(failed) => Err(failed.error),
    }
}
