//! Auto Scaling groups as AWS describes them.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance, LaunchTemplateSpecification};
use domain::observation::Sizes;
use engine::ports::ProviderError;

use crate::calls::{
    call::DESCRIBE_AUTO_SCALING_GROUPS, clients::Clients, errors::missing, retry::retry,
};

/// The process that moves instances between zones.
pub const REBALANCE: &str = "AZRebalance";
/// Most groups that are asked for by name in one call.
const NAMES_MAX: usize = 50;

/// A numbered version of a launch template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateVersion {
    /// Id of the template.
    pub template: String,
    /// Number of the version.
    pub number: i64,
}

/// What this crate reads of a group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub sizes: Sizes,
    /// What it launches, if that is a numbered version.
    pub launches: Option<TemplateVersion>,
    /// What it launches: a template, and a version in AWS's word, such as `$Latest`.
    pub specification: Option<(String, String)>,
    /// Names of the processes that are suspended.
    pub suspended: Vec<String>,
    /// ARNs of the target groups it registers its instances in.
    pub target_groups: Vec<String>,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Whether the group uses the health checks of its load balancer.
    pub checks_load_balancer: bool,
    /// How long a new instance may be unhealthy, in seconds.
    pub grace_seconds: u32,
    /// Why the group is not supported, one sentence each.
    pub unsupported: Vec<String>,
    /// Its members, including those that are terminating.
    pub members: Vec<Member>,
}

/// One instance of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its lifecycle state, in AWS's word.
    pub lifecycle: String,
    /// Whether the group counts it as healthy, which it also does before the first check.
    pub healthy: bool,
    /// Whether it is protected from scale-in.
    pub protected: bool,
    /// What it was launched from.
    pub launched: Option<TemplateVersion>,
}

impl Group {
    /// The template versions that it launches and that its members were launched from.
    pub fn versions(&self) -> impl Iterator<Item = TemplateVersion> {
        let launched = self.members.iter().map(|member| &member.launched);
        launched.chain([&self.launches]).flatten().cloned()
    }
}

impl Member {
    /// Whether the group has it in service.
    pub fn is_in_service(&self) -> bool {
        self.lifecycle == "InService"
    }
}

/// The groups with these names that exist.
pub async fn describe(
    clients: &Clients,
    names: &[String],
) -> Result<BTreeMap<String, Group>, ProviderError> {
    let mut found = BTreeMap::new();
    for names in names.chunks(NAMES_MAX) {
        let mut next = None;
        loop {
            let request = clients.scaling.describe_auto_scaling_groups();
            let request = request.set_auto_scaling_group_names(Some(names.to_vec()));
            let request = request.set_next_token(next);
            let page = clients
                .make(&DESCRIBE_AUTO_SCALING_GROUPS, request.send())
                .await?;
            for group in page.auto_scaling_groups() {
                let group = read(group);
                found.insert(group.name.clone(), group);
            }
            next = page.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// The group as it is now, not as the last poll showed it.
pub async fn group(clients: &Clients, name: &str) -> Result<Group, ProviderError> {
    let names = [name.to_owned()];
    let mut found = retry(|| describe(clients, &names)).await?;
    let missing = || missing(format!("there is no Auto Scaling group {name}"));
    found.remove(name).ok_or_else(missing)
}

fn read(group: &AutoScalingGroup) -> Group {
    let specification = group.launch_template();
    let subnets = group.vpc_zone_identifier().unwrap_or_default();
    Group {
        name: text(group.auto_scaling_group_name()),
        sizes: Sizes {
            min: number(group.min_size()),
            desired: number(group.desired_capacity()),
            max: number(group.max_size()),
        },
        launches: specification.and_then(numbered),
        specification: specification.map(|it| (text(it.launch_template_id()), text(it.version()))),
        suspended: group
            .suspended_processes()
            .iter()
            .map(|process| text(process.process_name()))
            .collect(),
        target_groups: target_groups(group),
        subnets: subnets
            .split(',')
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect(),
        checks_load_balancer: group
            .health_check_type()
            .is_some_and(|kinds| kinds.split(',').any(|kind| kind == "ELB")),
        grace_seconds: number(group.health_check_grace_period()),
        unsupported: unsupported(group),
        members: group.instances().iter().map(member).collect(),
    }
}

fn target_groups(group: &AutoScalingGroup) -> Vec<String> {
    let mut arns: Vec<String> = group.target_group_arns().to_vec();
    let sources = group.traffic_sources().iter();
    let sources = sources.filter(|it| it.r#type().is_none_or(|kind| kind == "elbv2"));
    arns.extend(sources.map(|it| it.identifier().unwrap_or_default().to_owned()));
    arns.retain(|arn| arn.contains(":targetgroup/"));
    arns.sort();
    arns.dedup();
    arns
}

/// Why a group is not supported. Steps would silently do the wrong thing to each of these.
fn unsupported(group: &AutoScalingGroup) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(name) = group.launch_configuration_name() {
        reasons.push(format!(
            "it launches from the launch configuration {name}; move it to a launch template"
        ));
    }
    if group.mixed_instances_policy().is_some() {
        reasons.push("it has a mixed instances policy, which is not supported".to_owned());
    }
    if group.warm_pool_configuration().is_some() {
        reasons.push(
            "it has a warm pool, whose instances hold the old release; delete the pool".to_owned(),
        );
    }
    if !group.load_balancer_names().is_empty() {
        reasons.push("it is attached to a classic load balancer; use target groups".to_owned());
    }
    if let Some(status) = group.status() {
        reasons.push(format!("it is being deleted ({status})"));
    }
    let lattice = |it: &&aws_sdk_autoscaling::types::TrafficSourceIdentifier| {
        it.r#type().is_some_and(|kind| kind == "vpc-lattice")
    };
    if group.traffic_sources().iter().any(|it| lattice(&it)) {
        reasons.push("it is attached to VPC Lattice, which is not supported".to_owned());
    }
    reasons
}

fn member(instance: &Instance) -> Member {
    Member {
        id: text(instance.instance_id()),
        zone: text(instance.availability_zone()),
        lifecycle: instance
            .lifecycle_state()
            .map(|state| state.as_str().to_owned())
            .unwrap_or_default(),
        healthy: instance.health_status() == Some("Healthy"),
        protected: instance.protected_from_scale_in().unwrap_or(false),
        launched: instance.launch_template().and_then(numbered),
    }
}

/// `None` for `$Latest` and `$Default`: what they refer to changes without a trace.
pub(crate) fn numbered(specification: &LaunchTemplateSpecification) -> Option<TemplateVersion> {
    Some(TemplateVersion {
        template: specification.launch_template_id()?.to_owned(),
        number: specification.version()?.parse().ok()?,
    })
}

pub(crate) fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

pub(crate) fn number(number: Option<i32>) -> u32 {
    number.and_then(|it| u32::try_from(it).ok()).unwrap_or(0)
}
