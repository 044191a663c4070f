//! vCPU quotas: how many vCPUs may run in the account, how many do, and whether a group can be doubled.
//!
//! Invariant: warnings only. CloudWatch counts once a minute and reports late, so these numbers never
//! refuse a deployment.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat},
};
use domain::time::UnixMs;
use engine::ports::ProviderError;
use tokio::sync::Mutex;

use crate::{
    calls::{
        call::{DESCRIBE_INSTANCE_TYPES, GET_METRIC_DATA},
        clients::Clients,
    },
    resources::instances::Ec2Instance,
};

/// CloudWatch counts once a minute.
const PERIOD_SECONDS: i32 = 60;
/// The newest count may take this long to arrive, in milliseconds.
const LOOK_BACK_MS: i64 = 900_000;
/// How long a count is kept, in milliseconds.
const FRESH_MS: u64 = 60_000;
/// Most instance types per call (`DescribeInstanceTypes`, API reference, read 2026-11).
const TYPES_MAX: usize = 100;

/// Families of instance types that EC2 counts against one quota, by the letters that their names begin
/// with ("Amazon EC2 instance type quotas" and "CloudWatch metrics for your instances: usage metrics",
/// read 2026-11). The quotas of other families are unknown to CloudWatch.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "Standard",
        &["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"],
    ),
    ("F", &["f"]),
    ("G", &["g", "gr", "vt"]),
    ("Inf", &["inf"]),
    ("P", &["p"]),
    ("X", &["x"]),
];

/// The instances that count against one quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    family: &'static str,
    spot: bool,
}

impl Class {
    /// On-demand instances of the usual families.
    pub const STANDARD: Self = Self {
        family: "Standard",
        spot: false,
    };

    fn of(instance: &Ec2Instance) -> Option<Self> {
        let digits = instance
            .instance_type
            .find(|it: char| !it.is_ascii_lowercase())?;
        let letters = &instance.instance_type[..digits];
        let known = FAMILIES.iter().find(|(_, all)| all.contains(&letters));
        known.map(|(family, _)| Self {
            family,
            spot: instance.is_spot,
        })
    }
}

/// As CloudWatch names it.
impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let market = if self.spot { "Spot" } else { "OnDemand" };
        write!(f, "{}/{market}", self.family)
    }
}

/// How many vCPUs of a class run, and how many may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// How many run.
    pub used: u64,
    /// How many may run.
    pub quota: u64,
}

/// The numbers that were read last. All of them can be forgotten.
#[derive(Debug, Default)]
pub struct Quotas {
    types: Mutex<Types>,
    /// The task that holds the lock asks for all. `None`: CloudWatch does not know, or did not answer.
    usage: Mutex<BTreeMap<Class, (UnixMs, Option<Usage>)>>,
}

/// vCPUs of instance types; they never change.
#[derive(Debug, Default)]
struct Types {
    vcpus: BTreeMap<String, u64>,
    failed_at: Option<UnixMs>,
}

impl Quotas {
    /// Warns where the quotas leave no room for a second copy of these instances of the group `name`.
    /// Numbers that AWS does not give lead to no warning; `pointsman doctor` says which those are. After a
    /// failure AWS is left alone for a while, or every poll would wait for it.
    pub async fn warnings(
        &self,
        clients: &Clients,
        name: &str,
        instances: &[Ec2Instance],
        now: UnixMs,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        for (class, needed) in self.needed(clients, instances, now).await {
            let usage = self.usage(clients, class, now).await;
            let short = usage.filter(|usage| usage.used + needed > usage.quota);
            warnings.extend(short.map(|Usage { used, quota }| {
                format!(
                    "a second {name} needs {needed} vCPUs of {class}, and {used} of EC2's quota of {quota} \
                     were in use a few minutes ago: AWS may not start all instances"
                )
            }));
        }
        warnings
    }

    async fn usage(&self, clients: &Clients, class: Class, now: UnixMs) -> Option<Usage> {
        let mut known = self.usage.lock().await;
        known.retain(|_, (at, _)| now.since_ms(*at) < FRESH_MS);
        if let Some((_, usage)) = known.get(&class) {
            return *usage;
        }
        // The caller may stop waiting.
        known.insert(class, (now, None));
        let usage = usage(clients, class, now).await.unwrap_or_else(|error| {
            tracing::debug!(error = error.message, %class, "the number of running vCPUs is not known");
            None
        });
        known.insert(class, (now, usage));
        usage
    }

    /// How many vCPUs these instances have, by class.
    async fn needed(
        &self,
        clients: &Clients,
        instances: &[Ec2Instance],
        now: UnixMs,
    ) -> BTreeMap<Class, u64> {
        let mut types = self.types.lock().await;
        let kinds = instances
            .iter()
            .map(|instance| instance.instance_type.as_str());
        let unknown: BTreeSet<&str> = kinds
            .filter(|kind| !kind.is_empty() && !types.vcpus.contains_key(*kind))
            .collect();
        let failed = types.failed_at;
        if failed.is_none_or(|at| now.since_ms(at) >= FRESH_MS) {
            // The caller may stop waiting.
            types.failed_at = Some(now);
            match learn(clients, &unknown).await {
                Ok(learned) => {
                    types.vcpus.extend(learned);
                    types.failed_at = None;
                }
                Err(error) => {
                    tracing::debug!(error = error.message, "instance types are not known");
                }
            }
        }
        let mut needed = BTreeMap::new();
        for instance in instances {
            let vcpus = types.vcpus.get(&instance.instance_type);
            if let (Some(class), Some(vcpus)) = (Class::of(instance), vcpus) {
                *needed.entry(class).or_default() += vcpus;
            }
        }
        needed
    }
}

async fn learn(
    clients: &Clients,
    kinds: &BTreeSet<&str>,
) -> Result<BTreeMap<String, u64>, ProviderError> {
    let mut found = BTreeMap::new();
    let kinds: Vec<&str> = kinds.iter().copied().collect();
    for kinds in kinds.chunks(TYPES_MAX) {
        let request = clients.ec2.describe_instance_types();
        let kinds = kinds.iter().map(|kind| (*kind).into()).collect();
        let request = request.set_instance_types(Some(kinds));
        let answer = clients
            .make(&DESCRIBE_INSTANCE_TYPES, request.send())
            .await?;
        for kind in answer.instance_types() {
            let vcpus = kind.v_cpu_info().and_then(|it| it.default_v_cpus());
            let vcpus = vcpus.and_then(|it| u64::try_from(it).ok());
            if let (Some(name), Some(vcpus)) = (kind.instance_type(), vcpus) {
                found.insert(name.as_str().to_owned(), vcpus);
            }
        }
    }
    Ok(found)
}

/// How many vCPUs of `class` run, and how many may; `None`: CloudWatch does not know. One call brings
/// both numbers ("CloudWatch usage metrics" and "Using metric math: SERVICE_QUOTA", read 2026-11).
pub async fn usage(
    clients: &Clients,
    class: Class,
    now: UnixMs,
) -> Result<Option<Usage>, ProviderError> {
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let metric = Metric::builder()
        .namespace("AWS/Usage")
        .metric_name("ResourceCount")
        .dimensions(dimension("Service", "EC2"))
        .dimensions(dimension("Resource", "vCPU"))
        .dimensions(dimension("Type", "Resource"))
        .dimensions(dimension("Class", &class.to_string()));
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(PERIOD_SECONDS)
        .stat("Maximum");
    let used = MetricDataQuery::builder().id("used");
    let used = used.metric_stat(stat.build()).return_data(true);
    let quota = MetricDataQuery::builder().id("quota");
    let quota = quota.expression("SERVICE_QUOTA(used)").return_data(true);
    let request = clients
        .cloudwatch
        .get_metric_data()
        .metric_data_queries(used.build())
        .metric_data_queries(quota.build())
        .start_time(DateTime::from_millis(now.0 - LOOK_BACK_MS))
        .end_time(DateTime::from_millis(now.0));
    let answer = clients.make(&GET_METRIC_DATA, request.send()).await?;
    let newest = |id: &str| {
        let mut results = answer.metric_data_results().iter();
        let value = *results.find(|it| it.id() == Some(id))?.values().first()?;
        // A count, and far below what a float holds exactly.
        value.is_finite().then_some(value.max(0.0) as u64)
    };
    Ok(newest("used")
        .zip(newest("quota"))
        .map(|(used, quota)| Usage { used, quota }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_counted_with_their_family() {
        let class = |kind: &str, spot| {
            let instance = Ec2Instance {
                instance_type: kind.to_owned(),
                is_spot: spot,
                ..Ec2Instance::default()
            };
            Class::of(&instance).map(|class| class.to_string())
        };
        let rows = [
            ("t3.small", false, Some("Standard/OnDemand")),
            ("m7i-flex.large", true, Some("Standard/Spot")),
            ("im4gn.large", false, Some("Standard/OnDemand")),
            ("g5.xlarge", false, Some("G/OnDemand")),
            ("inf2.xlarge", false, Some("Inf/OnDemand")),
            ("x2gd.medium", false, Some("X/OnDemand")),
            ("mac2.metal", false, None),
            ("u-6tb1.metal", false, None),
            ("", false, None),
        ];
        for (kind, spot, expected) in rows {
            assert_eq!(class(kind, spot).as_deref(), expected, "{kind}");
        }
    }
}
