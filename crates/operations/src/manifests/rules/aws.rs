//! Rules for accounts, and for server groups on AWS: what AWS would refuse in the middle of a
//! deployment is refused here, while somebody still looks.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    bounds::is_http,
    catalogue::{
        Account, AwsCreate, AwsGroup, AwsTraffic, AwsVolume, SCRIPT_WORDS, ServerGroup, Stickiness,
        unknown_script_word,
    },
};

use super::{URL_LEN_MAX, between};
use crate::error::Fault;

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
const SUBNETS_MAX: usize = 16;
const SECURITY_GROUPS_MAX: usize = 16;
/// Most volumes of a machine, beside the root volume.
const VOLUMES_MAX: usize = 16;
/// Largest root volume in GiB, and longest grace of a new instance in seconds.
const ROOT_GIB_MAX: u32 = 16_384;
const GRACE_SECONDS_MAX: u32 = 7200;
/// Longest name of an instance profile and of a key pair, in bytes.
const PROFILE_LEN_MAX: usize = 128;
const KEY_NAME_LEN_MAX: usize = 255;
/// AWS takes 50 tags; ten are left for those of Pointsman and of Auto Scaling. Longest key and value,
/// in characters.
const TAGS_MAX: usize = 40;
const TAG_KEY_LEN_MAX: usize = 128;
const TAG_LEN_MAX: usize = 256;
/// Longest that a load balancer keeps a user on a side, in seconds.
const STICKY_SECONDS_MAX: u32 = 604_800;
/// Longest start-up script in bytes: EC2 takes 16 KiB, and the places of its words grow when they are
/// filled in.
const USER_DATA_LEN_MAX: usize = 12 * 1024;

/// Every rule that `account` breaks.
pub(super) fn account(account: &Account) -> Vec<Fault> {
    if account.is_aws() {
        on_aws(account)
    } else {
        here(account)
    }
}

/// This machine has no regions, roles or buckets.
fn here(account: &Account) -> Vec<Fault> {
    [
        ("region", &account.region),
        ("role_arn", &account.role_arn),
        ("external_id", &account.external_id),
        ("endpoint_url", &account.endpoint_url),
        ("package_bucket", &account.package_bucket),
    ]
    .into_iter()
    .filter(|(_, value)| value.is_some())
    .map(|(field, _)| Fault::of(field, "is only for `provider: aws`; leave it out"))
    .collect()
}

fn on_aws(account: &Account) -> Vec<Fault> {
    let region = match &account.region {
        None => Some("name the region, such as eu-west-1"),
        Some(region) if !shapes::is_region(region) => Some("must be a region, such as eu-west-1"),
        Some(_) => None,
    };
    let role = account
        .role_arn
        .as_ref()
        .filter(|role| role.len() > ROLE_LEN_MAX || !shapes::is_role(role));
    let url = account
        .endpoint_url
        .as_ref()
        .filter(|url| !is_http(url) || url.len() > URL_LEN_MAX);
    let bucket = account
        .package_bucket
        .as_ref()
        .filter(|bucket| !shapes::is_bucket(bucket));
    [
        region.map(|rule| Fault::of("region", rule)),
        role.map(|_| {
            let rule = "must be the ARN of a role, such as arn:aws:iam::123456789012:role/pointsman";
            Fault::of("role_arn", rule)
        }),
        external_id(account),
        url.map(|_| Fault::of("endpoint_url", "must begin with http:// or https://")),
        bucket.map(|_| {
            let rule = "must be a name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens, and no address";
            Fault::of("package_bucket", rule)
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn external_id(account: &Account) -> Option<Fault> {
    let id = account.external_id.as_ref()?;
    let lengths = EXTERNAL_ID_LEN_MIN..=EXTERNAL_ID_LEN_MAX;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    let rule = if account.role_arn.is_none() {
        "is only for a role: set role_arn too, or leave it out".to_owned()
    } else if !lengths.contains(&id.len()) || !id.chars().all(allowed) {
        format!(
            "must be {EXTERNAL_ID_LEN_MIN} to {EXTERNAL_ID_LEN_MAX} letters, digits and _+=,.@:/-"
        )
    } else {
        return None;
    };
    Some(Fault::of("external_id", rule))
}

/// A load balancer forgets users sooner than our own router does.
pub(super) fn stickiness(group: &ServerGroup) -> Option<Fault> {
    group.aws.as_ref()?;
    match group.stickiness.as_ref()? {
        Stickiness::Cookie { seconds } if *seconds > STICKY_SECONDS_MAX => {
            let rule = format!("must be at most {STICKY_SECONDS_MAX} (a week) on AWS");
            Some(Fault::of("stickiness.seconds", rule))
        }
        _ => None,
    }
}

/// Every rule that the AWS side of a server group with so many slices breaks.
pub(super) fn group(aws: &AwsGroup, slices: u8) -> Vec<Fault> {
    let name = |name: &String| {
        (1..=GROUP_NAME_LEN_MAX).contains(&name.len())
            && !name.contains(|c: char| c.is_control() || c == ':')
    };
    let names = (!aws.groups.iter().all(name)).then(|| {
        let rule = format!(
            "a name has 1 to {GROUP_NAME_LEN_MAX} bytes without colons and control characters"
        );
        Fault::of("aws.groups", rule)
    });
    let groups = per_slice("aws.groups", &aws.groups, slices).or(names);
    let arns = (!aws
        .target_groups
        .iter()
        .all(|arn| shapes::is_target_group(arn)))
    .then(|| Fault::of("aws.target_groups", TARGET_GROUP_RULE));
    let target_groups = per_slice("aws.target_groups", &aws.target_groups, slices).or(arns);
    let script = aws.user_data.as_deref().and_then(script);
    groups
        .into_iter()
        .chain(target_groups)
        .chain(traffic(aws, slices))
        .chain(aws.create.iter().flat_map(create))
        .chain(script)
        .collect()
}

/// A start-up script of people's own.
fn script(script: &str) -> Option<Fault> {
    let rule = if script.is_empty() || script.len() > USER_DATA_LEN_MAX {
        format!("must have 1 to {USER_DATA_LEN_MAX} bytes")
    } else {
        let word = unknown_script_word(script)?;
        format!(
            "names {{{{{word}}}}}, which does not exist; there are {}",
            SCRIPT_WORDS.join(", ")
        )
    };
    Some(Fault::of("aws.user_data", rule))
}

const TARGET_GROUP_RULE: &str = "must be ARNs of target groups, such as arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cart-blue/0123456789abcdef";

/// None at all, or one for each slice, each another.
fn per_slice(field: &str, names: &[String], slices: u8) -> Option<Fault> {
    let rule = if !names.is_empty() && names.len() != usize::from(slices) {
        format!("name one for each slice ({slices}), that of blue first, or none at all")
    } else if repeats(names) {
        "name each of them once".to_owned()
    } else {
        return None;
    };
    Some(Fault::of(field, rule))
}

fn repeats(names: &[String]) -> bool {
    let distinct: BTreeSet<&String> = names.iter().collect();
    distinct.len() != names.len()
}

fn traffic(aws: &AwsGroup, slices: u8) -> Vec<Fault> {
    let two = (slices != 2).then(|| {
        let rule = "splits users between two slices: set `slices: 2`, or `traffic: {by: group}`";
        Fault::of("aws.traffic", rule)
    });
    match &aws.traffic {
        AwsTraffic::Group => (slices != 1)
            .then(|| {
                let rule =
                    "must say what splits the users between two slices: by listener, dns or attach";
                Fault::of("aws.traffic", rule)
            })
            .into_iter()
            .collect(),
        AwsTraffic::Listener { listener, rule } => two
            .into_iter()
            .chain(by_listener(aws, listener, rule.as_deref()))
            .collect(),
        AwsTraffic::Dns {
            zone,
            name,
            identifiers,
        } => two
            .into_iter()
            .chain(by_dns(zone, name, identifiers, slices))
            .collect(),
        AwsTraffic::Attach { target_group } => {
            let arn = (!shapes::is_target_group(target_group)).then(|| {
                let rule = "must be the ARN of a target group";
                Fault::of("aws.traffic.target_group", rule)
            });
            two.into_iter().chain(arn).collect()
        }
    }
}

fn by_listener(aws: &AwsGroup, listener: &str, rule: Option<&str>) -> Vec<Fault> {
    let weights = aws.target_groups.is_empty().then(|| {
        let rule = "name the target group of each slice: the listener's weights are theirs";
        Fault::of("aws.target_groups", rule)
    });
    let arn = (!shapes::is_listener(listener)).then(|| {
        let rule = "must be the ARN of a listener of an Application Load Balancer, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/...";
        Fault::of("aws.traffic.listener", rule)
    });
    let foreign = rule
        .filter(|_| arn.is_none())
        .filter(|rule| !shapes::is_rule_of(rule, listener))
        .map(|_| {
            let rule = "must be the ARN of a rule of that listener, arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/...";
            Fault::of("aws.traffic.rule", rule)
        });
    weights.into_iter().chain(arn).chain(foreign).collect()
}

fn by_dns(zone: &str, name: &str, identifiers: &[String], slices: u8) -> Vec<Fault> {
    let is_identifier = |it: &String| {
        (1..=IDENTIFIER_LEN_MAX).contains(&it.chars().count()) && !it.contains(char::is_control)
    };
    let identifiers = if identifiers.len() != usize::from(slices) || repeats(identifiers) {
        Some(format!(
            "name the SetIdentifier of each slice's record ({slices}), that of blue first"
        ))
    } else if !identifiers.iter().all(is_identifier) {
        Some(format!(
            "an identifier has 1 to {IDENTIFIER_LEN_MAX} characters"
        ))
    } else {
        None
    };
    let zone = (!shapes::is_zone(zone)).then(|| {
        let rule = "must be the id of a hosted zone, such as Z0123456789ABCDEFGHIJ";
        Fault::of("aws.traffic.zone", rule)
    });
    let name = (!shapes::is_dns_name(name)).then(|| {
        let rule = "must be a DNS name, such as cart.example.com";
        Fault::of("aws.traffic.name", rule)
    });
    let identifiers = identifiers.map(|rule| Fault::of("aws.traffic.identifiers", rule));
    zone.into_iter().chain(name).chain(identifiers).collect()
}

fn create(create: &AwsCreate) -> Vec<Fault> {
    let kind = (!shapes::is_instance_type(&create.instance_type)).then(|| {
        let rule = "must be an instance type, such as t3.small";
        Fault::of("aws.create.instance_type", rule)
    });
    let root = create.root_gib;
    let root = root.and_then(|gib| between("aws.create.root_gib", gib, 1, ROOT_GIB_MAX));
    kind.into_iter()
        .chain(ids(
            "aws.create.subnets",
            "subnet",
            &create.subnets,
            1,
            SUBNETS_MAX,
        ))
        .chain(ids(
            "aws.create.security_groups",
            "sg",
            &create.security_groups,
            0,
            SECURITY_GROUPS_MAX,
        ))
        .chain(profile(create.instance_profile.as_deref()))
        .chain(key_name(create.key_name.as_deref()))
        .chain(root)
        .chain(volumes(&create.volumes))
        .chain(between(
            "aws.create.grace_seconds",
            create.grace_seconds,
            0,
            GRACE_SECONDS_MAX,
        ))
        .chain(tags(&create.tags))
        .collect()
}

/// Volumes beside the root volume.
fn volumes(volumes: &[AwsVolume]) -> Vec<Fault> {
    if volumes.len() > VOLUMES_MAX {
        let rule = format!("name at most {VOLUMES_MAX} of them");
        return vec![Fault::of("aws.create.volumes", rule)];
    }
    // To some machines /dev/sdf and /dev/xvdf are the same.
    let letters = volumes.iter().filter_map(|it| it.device.chars().last());
    let letters: Vec<String> = letters.map(String::from).collect();
    let twice = repeats(&letters).then(|| {
        let rule = "give each of them a device with a letter of its own";
        Fault::of("aws.create.volumes", rule)
    });
    let each = volumes.iter().enumerate().flat_map(|(index, volume)| {
        let field = |name: &str| format!("aws.create.volumes[{index}].{name}");
        let device = (!shapes::is_device(&volume.device)).then(|| {
            let rule = "must be /dev/sdb to /dev/sdz, or /dev/xvdb to /dev/xvdz";
            Fault::of(field("device"), rule)
        });
        let (least, most) = volume.kind.gib_bounds();
        device
            .into_iter()
            .chain(between(&field("gib"), volume.gib, least, most))
    });
    twice.into_iter().chain(each).collect()
}

/// Ids such as `subnet-0123456789abcdef0`, so many of them, each once.
fn ids(field: &str, prefix: &str, ids: &[String], least: usize, most: usize) -> Option<Fault> {
    let rule = if !(least..=most).contains(&ids.len()) {
        format!("name {least} to {most} of them")
    } else if !ids.iter().all(|id| shapes::is_id(prefix, id)) {
        format!("must be ids such as {prefix}-0123456789abcdef0")
    } else if repeats(ids) {
        "name each of them once".to_owned()
    } else {
        return None;
    };
    Some(Fault::of(field, rule))
}

fn profile(name: Option<&str>) -> Option<Fault> {
    let name = name?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let good = (1..=PROFILE_LEN_MAX).contains(&name.len()) && name.chars().all(allowed);
    (!good).then(|| {
        let rule = "must be the name of an instance profile, not its ARN";
        Fault::of("aws.create.instance_profile", rule)
    })
}

fn key_name(name: Option<&str>) -> Option<Fault> {
    let name = name?;
    let allowed = |c: char| c.is_ascii_graphic() || c == ' ';
    let good = (1..=KEY_NAME_LEN_MAX).contains(&name.len()) && name.chars().all(allowed);
    (!good).then(|| {
        let rule = format!("must have 1 to {KEY_NAME_LEN_MAX} visible ASCII characters");
        Fault::of("aws.create.key_name", rule)
    })
}

fn tags(tags: &BTreeMap<String, String>) -> Vec<Fault> {
    if tags.len() > TAGS_MAX {
        let rule = format!("at most {TAGS_MAX} tags: AWS takes 50, and some are set beside");
        return vec![Fault::of("aws.create.tags", rule)];
    }
    tags.iter()
        .filter_map(|(key, value)| {
            let shown: String = key.chars().take(TAG_KEY_LEN_MAX).collect();
            Some(Fault::of(
                format!("aws.create.tags.{shown}"),
                tag(key, value)?,
            ))
        })
        .collect()
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
