//! Rules for accounts, and for server groups on AWS: what AWS would refuse in the middle of a
//! deployment is refused here, while somebody still looks.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    Account, AwsCreate, AwsGroup, AwsTraffic, AwsVolume, SCRIPT_WORDS, ServerGroup, Stickiness,
    unknown_script_word,
};
use crate::bounds::{Faults, Limit, Limited, URL_MAX, is_http};

mod shapes;
#[cfg(test)]
mod tests;

/// Longest role ARN in bytes, and bounds of an external id in characters (AWS STS, AssumeRole).
const ROLE_LEN_MAX: usize = 2048;
const EXTERNAL_ID_LEN_MIN: usize = 2;
const EXTERNAL_ID_LEN_MAX: usize = 1224;
/// Longest name of an Auto Scaling group, in bytes.
const GROUP_NAME_LEN_MAX: usize = 255;
/// Longest `SetIdentifier` of a weighted record, in characters.
const IDENTIFIER_LEN_MAX: usize = 128;
/// Most subnets and most security groups of one group.
const SUBNETS_MAX: u32 = 16;
const SECURITY_GROUPS_MAX: u32 = 16;
/// Most volumes of a machine, beside the root volume.
const VOLUMES_MAX: u32 = 16;
/// Largest root volume in GiB, and longest grace of a new instance in seconds.
const ROOT_GIB_MAX: u32 = 16_384;
const GRACE_SECONDS_MAX: u32 = 7200;
/// Longest name of an instance profile and of a key pair, in bytes.
const PROFILE_LEN_MAX: usize = 128;
const KEY_NAME_LEN_MAX: usize = 255;
/// AWS takes 50 tags; ten are left for those of Pointsman and of Auto Scaling. Longest key and value,
/// in characters.
const TAGS_MAX: u32 = 40;
const TAG_KEY_LEN_MAX: usize = 128;
const TAG_LEN_MAX: usize = 256;
/// Longest that a load balancer keeps a user on a side, in seconds.
const STICKY_SECONDS_MAX: u32 = 604_800;
/// Longest start-up script in bytes: EC2 takes 16 KiB, and the places of its words grow when they are
/// filled in.
const USER_DATA_LEN_MAX: u32 = 12 * 1024;

impl Limited for AwsGroup {
    const LIMITS: &'static [Limit<Self>] =
        &[Limit::bytes("user_data", 1..=USER_DATA_LEN_MAX, |it| {
            it.user_data.as_ref().map(String::len)
        })];
}

impl Limited for AwsCreate {
    const LIMITS: &'static [Limit<Self>] = &[
        Limit::items("subnets", 1..=SUBNETS_MAX, |it| it.subnets.len()),
        Limit::items("security_groups", 0..=SECURITY_GROUPS_MAX, |it| {
            it.security_groups.len()
        }),
        Limit::number("root_gib", 1..=ROOT_GIB_MAX, |it| it.root_gib),
        Limit::items("volumes", 0..=VOLUMES_MAX, |it| it.volumes.len()),
        Limit::number("grace_seconds", 0..=GRACE_SECONDS_MAX, |it| {
            Some(it.grace_seconds)
        }),
        Limit::items("tags", 0..=TAGS_MAX, |it| it.tags.len()),
    ];
}

impl Limited for AwsVolume {
    const LIMITS: &'static [Limit<Self>] =
        &[Limit::number("gib", 1..=ROOT_GIB_MAX, |it| Some(it.gib))];
}

/// Notes every rule that `account` breaks.
pub(in super::super) fn account(account: &Account, faults: &mut Faults) {
    if account.is_aws() {
        on_aws(account, faults);
    } else {
        here(account, faults);
    }
}

/// This machine has no regions, roles or buckets.
fn here(account: &Account, faults: &mut Faults) {
    for (field, value) in [
        ("region", &account.region),
        ("role_arn", &account.role_arn),
        ("external_id", &account.external_id),
        ("endpoint_url", &account.endpoint_url),
        ("package_bucket", &account.package_bucket),
    ] {
        let rule = "is only for `provider: aws`; leave it out";
        faults.unless(value.is_none(), field, rule);
    }
}

fn on_aws(account: &Account, faults: &mut Faults) {
    let good =
        |value: &Option<String>, is_good: fn(&str) -> bool| value.as_deref().is_none_or(is_good);
    match &account.region {
        None => faults.add("region", "name the region, such as eu-west-1"),
        Some(region) => {
            let rule = "must be a region, such as eu-west-1";
            faults.unless(shapes::is_region(region), "region", rule);
        }
    }
    let is_role = |role: &str| role.len() <= ROLE_LEN_MAX && shapes::is_role(role);
    let rule = "must be the ARN of a role, such as arn:aws:iam::123456789012:role/pointsman";
    faults.unless(good(&account.role_arn, is_role), "role_arn", rule);
    external_id(account, faults);
    let is_url = |url: &str| is_http(url) && url.len() <= URL_MAX as usize;
    let rule = "must begin with http:// or https://";
    faults.unless(good(&account.endpoint_url, is_url), "endpoint_url", rule);
    let rule = "must be a name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens, and no address";
    let bucket = good(&account.package_bucket, shapes::is_bucket);
    faults.unless(bucket, "package_bucket", rule);
}

fn external_id(account: &Account, faults: &mut Faults) {
    let Some(id) = &account.external_id else {
        return;
    };
    let lengths = EXTERNAL_ID_LEN_MIN..=EXTERNAL_ID_LEN_MAX;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if account.role_arn.is_none() {
        let rule = "is only for a role: set role_arn too, or leave it out";
        faults.add("external_id", rule);
    } else if !lengths.contains(&id.len()) || !id.chars().all(allowed) {
        let rule = format!(
            "must be {EXTERNAL_ID_LEN_MIN} to {EXTERNAL_ID_LEN_MAX} letters, digits and _+=,.@:/-"
        );
        faults.add("external_id", rule);
    }
}

/// A load balancer forgets users sooner than our own router does.
pub(super) fn stickiness(group: &ServerGroup, faults: &mut Faults) {
    if let (Some(_), Some(Stickiness::Cookie { seconds })) = (&group.aws, &group.stickiness) {
        let rule = format!("must be at most {STICKY_SECONDS_MAX} (a week) on AWS");
        faults.unless(*seconds <= STICKY_SECONDS_MAX, "stickiness.seconds", &rule);
    }
}

/// Notes every rule that the AWS side of a server group with so many slices breaks.
pub(super) fn group(aws: &AwsGroup, slices: u8, faults: &mut Faults) {
    faults.limits("aws", aws);
    let name = |name: &String| {
        (1..=GROUP_NAME_LEN_MAX).contains(&name.len())
            && !name.contains(|c: char| c.is_control() || c == ':')
    };
    if per_slice("aws.groups", &aws.groups, slices, faults) {
        let rule = format!(
            "a name has 1 to {GROUP_NAME_LEN_MAX} bytes without colons and control characters"
        );
        faults.unless(aws.groups.iter().all(name), "aws.groups", &rule);
    }
    if per_slice("aws.target_groups", &aws.target_groups, slices, faults) {
        let mut arns = aws.target_groups.iter();
        let good = arns.all(|arn| shapes::is_target_group(arn));
        faults.unless(good, "aws.target_groups", TARGET_GROUP_RULE);
    }
    traffic(aws, slices, faults);
    if let Some(made) = &aws.create {
        create(made, faults);
    }
    if let Some(own) = &aws.user_data {
        script(own, faults);
    }
}

/// A start-up script of people's own.
fn script(script: &str, faults: &mut Faults) {
    if let Some(word) = unknown_script_word(script) {
        let rule = format!(
            "names {{{{{word}}}}}, which does not exist; there are {}",
            SCRIPT_WORDS.join(", ")
        );
        faults.add("aws.user_data", rule);
    }
}

const TARGET_GROUP_RULE: &str = "must be ARNs of target groups, such as arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cart-blue/0123456789abcdef";

/// None at all, or one for each slice, each another; says whether that is so.
fn per_slice(field: &str, names: &[String], slices: u8, faults: &mut Faults) -> bool {
    let counted = names.is_empty() || names.len() == usize::from(slices);
    let rule = format!("name one for each slice ({slices}), that of blue first, or none at all");
    faults.unless(counted, field, &rule);
    let once = !counted || !repeats(names);
    faults.unless(once, field, "name each of them once");
    counted && once
}

fn repeats(names: &[String]) -> bool {
    let distinct: BTreeSet<&String> = names.iter().collect();
    distinct.len() != names.len()
}

fn traffic(aws: &AwsGroup, slices: u8, faults: &mut Faults) {
    if aws.traffic == AwsTraffic::Group {
        let rule = "must say what splits the users between two slices: by listener, dns or attach";
        faults.unless(slices == 1, "aws.traffic", rule);
    } else {
        let rule = "splits users between two slices: set `slices: 2`, or `traffic: {by: group}`";
        faults.unless(slices == 2, "aws.traffic", rule);
    }
    match &aws.traffic {
        AwsTraffic::Group => {}
        AwsTraffic::Listener { listener, rule } => {
            let named = !aws.target_groups.is_empty();
            let weights = "name the target group of each slice: the listener's weights are theirs";
            faults.unless(named, "aws.target_groups", weights);
            by_listener(listener, rule.as_deref(), faults);
        }
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => {
            records(identifiers, slices, faults);
            let rule = "must be the id of a hosted zone, such as Z0123456789ABCDEFGHIJ";
            faults.unless(shapes::is_zone(zone), "aws.traffic.zone", rule);
            let rule = "must be a DNS name, such as cart.example.com";
            faults.unless(shapes::is_dns_name(name), "aws.traffic.name", rule);
        }
        AwsTraffic::Attach { target_group } => {
            let good = shapes::is_target_group(target_group);
            let rule = "must be the ARN of a target group";
            faults.unless(good, "aws.traffic.target_group", rule);
        }
    }
}

fn by_listener(listener: &str, rule: Option<&str>, faults: &mut Faults) {
    if !shapes::is_listener(listener) {
        let rule = "must be the ARN of a listener of an Application Load Balancer, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/...";
        faults.add("aws.traffic.listener", rule);
        return;
    }
    let own = rule.is_none_or(|rule| shapes::is_rule_of(rule, listener));
    let rule = "must be the ARN of a rule of that listener, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/...";
    faults.unless(own, "aws.traffic.rule", rule);
}

fn records(identifiers: &[String], slices: u8, faults: &mut Faults) {
    let is_identifier = |it: &String| {
        (1..=IDENTIFIER_LEN_MAX).contains(&it.chars().count()) && !it.contains(char::is_control)
    };
    let field = "aws.traffic.identifiers";
    if identifiers.len() != usize::from(slices) || repeats(identifiers) {
        let rule =
            format!("name the SetIdentifier of each slice's record ({slices}), that of blue first");
        faults.add(field, rule);
    } else if !identifiers.iter().all(is_identifier) {
        let rule = format!("an identifier has 1 to {IDENTIFIER_LEN_MAX} characters");
        faults.add(field, rule);
    }
}

fn create(create: &AwsCreate, faults: &mut Faults) {
    faults.limits("aws.create", create);
    let kind = shapes::is_instance_type(&create.instance_type);
    let rule = "must be an instance type, such as t3.small";
    faults.unless(kind, "aws.create.instance_type", rule);
    ids("aws.create.subnets", "subnet", &create.subnets, faults);
    let groups = &create.security_groups;
    ids("aws.create.security_groups", "sg", groups, faults);
    profile(create.instance_profile.as_deref(), faults);
    key_name(create.key_name.as_deref(), faults);
    volumes(&create.volumes, faults);
    tags(&create.tags, faults);
}

/// Volumes beside the root volume.
fn volumes(volumes: &[AwsVolume], faults: &mut Faults) {
    let most = usize::try_from(VOLUMES_MAX).unwrap_or(usize::MAX);
    // To some machines /dev/sdf and /dev/xvdf are the same.
    let letters = volumes.iter().filter_map(|it| it.device.chars().last());
    let letters: Vec<String> = letters.map(String::from).collect();
    let once = volumes.len() > most || !repeats(&letters);
    let rule = "give each of them a device with a letter of its own";
    faults.unless(once, "aws.create.volumes", rule);
    for (index, volume) in volumes.iter().enumerate().take(most) {
        let at = format!("aws.create.volumes[{index}]");
        let device = shapes::is_device(&volume.device);
        let rule = "must be /dev/sdb to /dev/sdz, or /dev/xvdb to /dev/xvdz";
        faults.unless(device, &format!("{at}.device"), rule);
        let (least, most) = volume.kind.gib_bounds();
        let fits = (least..=most).contains(&volume.gib);
        let rule = format!("must be between {least} and {most}");
        faults.unless(fits, &format!("{at}.gib"), &rule);
    }
}

/// Ids such as `subnet-0123456789abcdef0`, each once.
fn ids(field: &str, prefix: &str, ids: &[String], faults: &mut Faults) {
    let good = ids.iter().all(|id| shapes::is_id(prefix, id));
    let rule = format!("must be ids such as {prefix}-0123456789abcdef0");
    faults.unless(good, field, &rule);
    faults.unless(!good || !repeats(ids), field, "name each of them once");
}

fn profile(name: Option<&str>, faults: &mut Faults) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let good = name.is_none_or(|name| {
        (1..=PROFILE_LEN_MAX).contains(&name.len()) && name.chars().all(allowed)
    });
    let rule = "must be the name of an instance profile, not its ARN";
    faults.unless(good, "aws.create.instance_profile", rule);
}

fn key_name(name: Option<&str>, faults: &mut Faults) {
    let allowed = |c: char| c.is_ascii_graphic() || c == ' ';
    let good = name.is_none_or(|name| {
        (1..=KEY_NAME_LEN_MAX).contains(&name.len()) && name.chars().all(allowed)
    });
    let rule = format!("must have 1 to {KEY_NAME_LEN_MAX} visible ASCII characters");
    faults.unless(good, "aws.create.key_name", &rule);
}

fn tags(tags: &BTreeMap<String, String>, faults: &mut Faults) {
    let most = usize::try_from(TAGS_MAX).unwrap_or(usize::MAX);
    for (key, value) in tags.iter().take(most) {
        if let Some(rule) = tag(key, value) {
            let shown: String = key.chars().take(TAG_KEY_LEN_MAX).collect();
            faults.add(format!("aws.create.tags.{shown}"), rule);
        }
    }
}

fn tag(key: &str, value: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    if !(1..=TAG_KEY_LEN_MAX).contains(&key.chars().count()) {
        Some(format!("a key has 1 to {TAG_KEY_LEN_MAX} characters"))
    } else if value.chars().count() > TAG_LEN_MAX {
        Some(format!("a value has at most {TAG_LEN_MAX} characters"))
    } else if lower.starts_with("aws:") || lower.starts_with("pointsman:") {
        Some("keys that begin with aws: or pointsman: are set by those".to_owned())
    } else if key.contains(char::is_control) || value.contains(char::is_control) {
        Some("holds control characters".to_owned())
    } else {
        None
    }
}
