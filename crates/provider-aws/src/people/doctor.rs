//! A check-up of an account: who we are there, what we may do, what is reached, what stands in the way.
//!
//! Invariant: nothing is changed, and everything ends within [`TIMEOUT`]; what cannot be found out
//! without a change is said to be unchecked, never to be well.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeDeserializationInterceptorContextRef},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{
    config_bag::ConfigBag,
    date_time::{DateTime, Format},
};
use domain::{
    catalogue::AwsTraffic,
    checkup::{Check, Verdict},
    effect::Target,
    time::{UnixMs, human_ms},
};
use engine::ports::{ErrorKind, ProviderError};
use futures_util::{FutureExt, StreamExt, future::join_all, stream};

use crate::{
    calls::{
        clients::Clients,
        errors::{failed, invalid, is_of_credentials},
        rate_limiter::Bucket,
    },
    observe::observer::Observer,
    resources::quotas::{self, Class, Usage},
    server_group,
};

/// Longest time that one check takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Groups that are looked at; those beyond are counted.
const GROUPS_MAX: usize = 200;
/// Groups that are looked at together: they share one look.
const AT_ONCE: usize = 50;
/// AWS refuses signatures that are older than five minutes ("Troubleshoot AWS Signature Version 4",
/// read 2026-11).
const CLOCK_FAILED_MS: u64 = 300_000;
const CLOCK_WARNING_MS: u64 = 60_000;
const POLICY: &str = "give it the policy that `pointsman doctor ACCOUNT --policy` prints";

const CREDENTIALS: &str = "give the server credentials: an instance profile, AWS_PROFILE, or \
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; where the account names a role, let them assume it";

/// Looks at everything that deployments to these groups of the account depend on.
pub async fn checkup(observer: &Observer, targets: &[Target]) -> Vec<Check> {
    let clients = &*observer.account().clients;
    let checks = [
        timed("auto scaling", scaling(clients)).boxed(),
        timed("ec2", ec2(clients)).boxed(),
        timed("vcpu quota", vcpus(observer)).boxed(),
        timed("launch templates", dry_run(clients)).boxed(),
        timed("load balancers", balancers(clients)).boxed(),
        timed("cloudwatch", alarms(clients)).boxed(),
        timed("route 53", records(clients, targets)).boxed(),
        timed("package bucket", bucket(clients)).boxed(),
    ];
    let (who, checks, groups) = tokio::join!(
        identity(observer),
        join_all(checks),
        groups(observer, targets)
    );
    let changes = Check::new(
        "changes",
        Verdict::Unchecked,
        "AWS offers no trial of changes to Auto Scaling groups, listeners and records",
    );
    let changes = changes.with("compare with `pointsman doctor ACCOUNT --policy`");
    who.into_iter()
        .chain(checks)
        .chain([changes])
        .chain(groups)
        .collect()
}

/// What a check found, and whether that is well.
type Found = Result<(Verdict, String), ProviderError>;

async fn timed(name: &str, check: impl Future<Output = Found>) -> Check {
    let began = Instant::now();
    let Ok(found) = tokio::time::timeout(TIMEOUT, check).await else {
        return unreachable_after(name, began.elapsed());
    };
    match found {
        Ok((verdict @ Verdict::Ok, text)) => {
            let took = began.elapsed().as_millis();
            Check::new(name, verdict, format!("{text}, in {took} ms"))
        }
        Ok((verdict, text)) => Check::new(name, verdict, text),
        Err(error) => of_error(name, &error),
    }
}

fn unreachable_after(name: &str, time: Duration) -> Check {
    let text = format!("no answer within {} s", time.as_secs());
    Check::new(name, Verdict::Failed, text)
        .with("check the way to AWS: routes, proxies, VPC endpoints, the account's endpoint_url")
}

fn of_error(name: &str, error: &ProviderError) -> Check {
    let message = error.message.clone();
    match error.kind {
        ErrorKind::Denied => Check::new(name, Verdict::Failed, message).with(POLICY),
        ErrorKind::Throttled => Check::new(name, Verdict::Warning, message)
            .with("others use up what AWS allows this account; find out who"),
        ErrorKind::Unavailable if is_of_credentials(error) => Check::new(
            name,
            Verdict::Unchecked,
            "the server has no credentials to ask with",
        ),
        ErrorKind::Unavailable => Check::new(name, Verdict::Failed, message).with(
            "check the way to AWS: routes, proxies, VPC endpoints, the account's endpoint_url",
        ),
        ErrorKind::Missing | ErrorKind::Invalid | ErrorKind::NotOffered | ErrorKind::Superseded => {
            Check::new(name, Verdict::Failed, message).with("check the account's manifest")
        }
    }
}

/// Who we are there, and what time it is there.
async fn identity(observer: &Observer) -> Vec<Check> {
    let clients = &*observer.account().clients;
    let date = Date::default();
    let request = clients.sts.get_caller_identity().customize();
    let request = request.interceptor(date.clone());
    clients
        .calls
        .take(Bucket::Other, "sts:GetCallerIdentity")
        .await;
    let answer = tokio::time::timeout(TIMEOUT, request.send()).await;
    let now = observer.account().now();
    let who = match answer {
        Err(_) => unreachable_after("credentials", TIMEOUT),
        Ok(Err(error)) => {
            let error = failed("sts:GetCallerIdentity", &error);
            if is_of_credentials(&error) || error.kind == ErrorKind::Denied {
                Check::new("credentials", Verdict::Failed, error.message).with(CREDENTIALS)
            } else {
                of_error("credentials", &error)
            }
        }
        Ok(Ok(answer)) => {
            let arn = answer.arn().unwrap_or("somebody");
            let number = answer.account().unwrap_or("an account");
            let region = clients.account.region.as_deref().unwrap_or_default();
            let text = format!("{arn} in account {number}, region {region}");
            Check::new("credentials", Verdict::Ok, text)
        }
    };
    let clock = match date.seen() {
        Some(theirs) => clock(now, theirs),
        None => Check::new(
            "clock",
            Verdict::Unchecked,
            "AWS did not say what time it is",
        ),
    };
    vec![who, clock]
}

fn clock(ours: UnixMs, theirs: UnixMs) -> Check {
    let apart_ms = ours.since_ms(theirs).max(theirs.since_ms(ours));
    let text = format!("this machine and AWS are {} apart", human_ms(apart_ms));
    let remedy = "set the machine's clock, and keep it right with NTP";
    if apart_ms >= CLOCK_FAILED_MS {
        Check::new("clock", Verdict::Failed, text).with(remedy)
    } else if apart_ms >= CLOCK_WARNING_MS {
        Check::new("clock", Verdict::Warning, text).with(remedy)
    } else {
        // The header has whole seconds.
        Check::new(
            "clock",
            Verdict::Ok,
            "this machine and AWS agree on the time",
        )
    }
}

/// Remembers the `Date` of an answer.
#[derive(Debug, Clone, Default)]
struct Date(Arc<Mutex<Option<UnixMs>>>);

impl Date {
    fn seen(&self) -> Option<UnixMs> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let seen = date.and_then(|date| date.to_millis().ok()).map(UnixMs);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}

async fn scaling(clients: &Clients) -> Found {
    const LIMITS: &str = "autoscaling:DescribeAccountLimits";
    const ACTIVITIES: &str = "autoscaling:DescribeScalingActivities";
    clients.calls.take(Bucket::ScalingRead, LIMITS).await;
    let answer = clients.scaling.describe_account_limits().send().await;
    let answer = answer.map_err(|error| failed(LIMITS, &error))?;
    clients.calls.take(Bucket::ScalingRead, ACTIVITIES).await;
    let activities = clients.scaling.describe_scaling_activities().max_records(1);
    let activities = activities.send().await;
    activities.map_err(|error| failed(ACTIVITIES, &error))?;
    let allowed = answer.max_number_of_auto_scaling_groups().unwrap_or(0);
    let used = answer.number_of_auto_scaling_groups().unwrap_or(0);
    let text = format!("{used} of at most {allowed} Auto Scaling groups are there");
    let full = allowed > 0 && used * 5 >= allowed * 4;
    Ok(if full {
        let more = format!("{text}; ask AWS for more before groups are created");
        (Verdict::Warning, more)
    } else {
        (Verdict::Ok, text)
    })
}

async fn ec2(clients: &Clients) -> Found {
    const STATUS: &str = "ec2:DescribeInstanceStatus";
    const TYPES: &str = "ec2:DescribeInstanceTypes";
    clients.calls.take(Bucket::Ec2Read, STATUS).await;
    let request = clients.ec2.describe_instance_status().max_results(5);
    request
        .send()
        .await
        .map_err(|error| failed(STATUS, &error))?;
    clients.calls.take(Bucket::Ec2Read, TYPES).await;
    let request = clients.ec2.describe_instance_types().max_results(5);
    request
        .send()
        .await
        .map_err(|error| failed(TYPES, &error))?;
    Ok((Verdict::Ok, "instances may be looked at".to_owned()))
}

/// Releases start a second copy of a group.
async fn vcpus(observer: &Observer) -> Found {
    let class = Class::STANDARD;
    let usage = quotas::usage(&observer.account().clients, class, observer.account().now()).await?;
    let Some(Usage { used, quota }) = usage else {
        let text =
            format!("CloudWatch does not know how many vCPUs of {class} run, and how many may");
        return Ok((Verdict::Unchecked, text));
    };
    let text = format!("{used} of at most {quota} vCPUs of {class} are in use");
    Ok(if used * 5 >= quota * 4 {
        let more = format!("{text}; ask AWS for more before groups are doubled");
        (Verdict::Warning, more)
    } else {
        (Verdict::Ok, text)
    })
}

/// EC2 alone offers a trial.
async fn dry_run(clients: &Clients) -> Found {
    const CREATE: &str = "ec2:CreateLaunchTemplate";
    clients.calls.take(Bucket::Ec2Write, CREATE).await;
    let data = aws_sdk_ec2::types::RequestLaunchTemplateData::builder();
    let request = clients.ec2.create_launch_template().dry_run(true);
    let request = request.launch_template_name("pointsman-doctor");
    let answer = request.launch_template_data(data.build()).send().await;
    use aws_smithy_types::error::metadata::ProvideErrorMetadata;
    match answer {
        Err(error) if error.code() == Some("DryRunOperation") => {
            Ok((Verdict::Ok, "may be created".to_owned()))
        }
        Err(error) => Err(failed(CREATE, &error)),
        Ok(_) => Err(invalid(
            "EC2 did not take the trial of a launch template for one",
        )),
    }
}

async fn balancers(clients: &Clients) -> Found {
    const GROUPS: &str = "elb:DescribeTargetGroups";
    clients.calls.take(Bucket::ElbRead, GROUPS).await;
    let request = clients.elb.describe_target_groups().page_size(1);
    request
        .send()
        .await
        .map_err(|error| failed(GROUPS, &error))?;
    Ok((Verdict::Ok, "target groups may be looked at".to_owned()))
}

async fn alarms(clients: &Clients) -> Found {
    const ALARMS: &str = "cloudwatch:DescribeAlarms";
    clients.calls.take(Bucket::Other, ALARMS).await;
    let request = clients.cloudwatch.describe_alarms().max_records(1);
    request
        .send()
        .await
        .map_err(|error| failed(ALARMS, &error))?;
    Ok((Verdict::Ok, "alarms may be looked at".to_owned()))
}

async fn records(clients: &Clients, targets: &[Target]) -> Found {
    const RECORDS: &str = "route53:ListResourceRecordSets";
    let aws = targets
        .iter()
        .filter_map(|target| target.group.aws.as_ref());
    let mut zones = aws.filter_map(|aws| match &aws.traffic {
        AwsTraffic::Dns { zone, .. } => Some(zone),
        _ => None,
    });
    let Some(zone) = zones.next() else {
        let text = "no server group here moves its users by DNS";
        return Ok((Verdict::Unchecked, text.to_owned()));
    };
    clients.calls.take(Bucket::Dns, RECORDS).await;
    let request = clients.dns.list_resource_record_sets();
    let request = request.hosted_zone_id(zone).max_items(1);
    request
        .send()
        .await
        .map_err(|error| failed(RECORDS, &error))?;
    Ok((
        Verdict::Ok,
        format!("the records of {zone} may be looked at"),
    ))
}

async fn bucket(clients: &Clients) -> Found {
    const BUCKET: &str = "s3:HeadBucket";
    let Some(bucket) = &clients.account.package_bucket else {
        let text = "the account names none: releases are machine images only";
        return Ok((Verdict::Unchecked, text.to_owned()));
    };
    clients.calls.take(Bucket::Other, BUCKET).await;
    let answer = clients.s3.head_bucket().bucket(bucket).send().await;
    match answer {
        Ok(_) => Ok((Verdict::Ok, format!("{bucket} is there"))),
        Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => {
            Err(invalid(format!("there is no S3 bucket {bucket}")))
        }
        // An answer to HEAD has no body, so no reason either.
        Err(error)
            if error
                .raw_response()
                .is_some_and(|raw| raw.status().as_u16() == 403) =>
        {
            let text = format!("AWS {BUCKET}: the bucket {bucket} may not be used");
            Err(ProviderError::new(ErrorKind::Denied, text))
        }
        Err(error) => Err(failed(BUCKET, &error)),
    }
}

/// Each server group that is in the account.
async fn groups(observer: &Observer, targets: &[Target]) -> Vec<Check> {
    let looked = targets.iter().take(GROUPS_MAX).cloned();
    let checks = stream::iter(looked).map(|target| async move { group(observer, &target).await });
    let mut checks: Vec<Check> = checks.buffered(AT_ONCE).collect().await;
    if targets.len() > GROUPS_MAX {
        let more = targets.len() - GROUPS_MAX;
        let text = format!("{more} more server groups were not looked at");
        checks.push(Check::new("groups", Verdict::Unchecked, text));
    }
    checks
}

async fn group(observer: &Observer, target: &Target) -> Check {
    let name = format!("group {}", target.place);
    let seen = match tokio::time::timeout(3 * TIMEOUT, observer.observe(target)).await {
        Err(_) => return unreachable_after(&name, 3 * TIMEOUT),
        Ok(Err(error)) => return of_error(&name, &error),
        Ok(Ok(seen)) => seen,
    };
    let slices = || server_group::slices(target);
    let here = || slices().filter_map(|slice| seen.slices.get(&slice));
    let obstacles: Vec<String> = here().flat_map(|it| it.obstacles.clone()).collect();
    if !obstacles.is_empty() {
        return Check::new(name, Verdict::Failed, obstacles.join("; "))
            .with("deployments are refused until this is gone");
    }
    let words = slices().filter_map(|slice| {
        let name = target.group.aws.as_ref()?.group_name(&target.place, slice);
        Some(match seen.slices.get(&slice) {
            Some(seen) => {
                let (healthy, desired) = (seen.healthy(), seen.sizes.desired);
                format!("{name} has {healthy} of {desired} healthy")
            }
            None => format!("{name} will be created at the first deployment"),
        })
    });
    let words: Vec<String> = words.collect();
    let hazard = here().find_map(|slice| slice.hazard.clone());
    let hazard = hazard.map(|it| format!("no --strategy instance-refresh here: {it}"));
    let warnings: Vec<String> = here().flat_map(|it| it.warnings.clone()).collect();
    if !warnings.is_empty() {
        let text = warnings.into_iter().chain(hazard);
        return Check::new(name, Verdict::Warning, text.collect::<Vec<_>>().join("; "))
            .with("plans show it too; ask AWS for more in Service Quotas where it is a quota");
    }
    let check = Check::new(name, Verdict::Ok, words.join("; "));
    match hazard {
        Some(hazard) => check.with(hazard),
        None => check,
    }
}
