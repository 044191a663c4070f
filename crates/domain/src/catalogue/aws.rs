//! What a server group on AWS is made of: an Auto Scaling group per slice, and what splits the users
//! between them.
//!
//! Invariant: nothing here talks to AWS; these are settings, read and written by people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Abilities, Lack, ProviderKind,
    abilities::{NO_MIRRORS, NO_PATHS, OWN_CHECKS},
};
use crate::{
    names::{AccountName, Place},
    release::ImageId,
    slice::Slice,
};

/// The AWS side of a server group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AwsGroup {
    /// The account that the groups are in.
    pub account: AccountName,
    /// Names of the Auto Scaling groups, blue first. Left out: `service-environment-slice`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// ARNs of the target groups of each slice, blue first. Left out: the ones that the Auto Scaling
    /// groups are attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_groups: Vec<String>,
    /// How the groups are created at the first deployment. Left out: they exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<AwsCreate>,
    /// What splits users between the slices.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(default = AwsTraffic::default))]
    pub traffic: AwsTraffic,
    /// Replaces the start-up script that fetches, checks and starts a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
}

/// How an Auto Scaling group and its launch template are created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AwsCreate {
    /// Id of the machine image that packages are started on.
    pub image: ImageId,
    /// Instance type, such as `t3.small`.
    pub instance_type: String,
    /// Ids of the subnets; their zones are the group's zones.
    pub subnets: Vec<String>,
    /// Ids of the security groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Name of the instance profile; instances that fetch packages need one that may read the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// Name of the key pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// Size of the root volume in GiB. Left out: the size that the image names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_gib: Option<u32>,
    /// Volumes in addition to the root volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<AwsVolume>,
    /// Whether one-minute (detailed) monitoring is on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monitoring: bool,
    /// Time that a new instance may be unhealthy before it is replaced, in seconds.
    #[serde(default = "grace")]
    #[cfg_attr(feature = "schema", schema(default = grace))]
    pub grace_seconds: u32,
    /// Tags of the group and its instances, in addition to those that Pointsman sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

fn grace() -> u32 {
    300
}

/// A volume in addition to the root volume: encrypted, empty, and deleted with its instance. The
/// start-up script or the image formats and mounts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AwsVolume {
    /// Device name of the volume, such as `/dev/sdf`.
    pub device: String,
    /// Size in GiB.
    pub gib: u32,
    /// Type of the volume.
    #[serde(default, rename = "type")]
    #[cfg_attr(feature = "schema", schema(default = AwsVolumeKind::default))]
    pub kind: AwsVolumeKind,
}

/// The type of a volume ("Amazon EBS volume types", read 2026-11). Those that want more numbers
/// (`io1`, `io2`) are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AwsVolumeKind {
    /// Solid state.
    #[default]
    Gp3,
    /// Solid state of the previous generation.
    Gp2,
    /// Throughput-optimised disks; 125 GiB or more.
    St1,
    /// Cold disks, the cheapest; 125 GiB or more.
    Sc1,
    /// Disks of the oldest generation; 1024 GiB or less.
    Standard,
}

impl AwsVolumeKind {
    /// AWS's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
            Self::St1 => "st1",
            Self::Sc1 => "sc1",
            Self::Standard => "standard",
        }
    }

    /// Smallest and largest size in GiB (same page).
    #[must_use]
    pub fn gib_bounds(self) -> (u32, u32) {
        match self {
            Self::Gp3 | Self::Gp2 => (1, 16_384),
            Self::St1 | Self::Sc1 => (125, 16_384),
            Self::Standard => (1, 1024),
        }
    }
}

/// What a start-up script may name as `{{word}}`, to be replaced by a value.
pub const SCRIPT_WORDS: [&str; 11] = [
    "service",
    "environment",
    "version",
    "launch",
    "digest",
    "bucket",
    "key",
    "region",
    "endpoint",
    "drain_seconds",
    "variables",
];

/// The first `{{word}}` of a start-up script that there is no value for.
#[must_use]
pub fn unknown_script_word(script: &str) -> Option<&str> {
    let mut rest = script;
    while let Some((_, after)) = rest.split_once("{{")
        && let Some((word, after)) = after.split_once("}}")
    {
        // The script that ships explains itself in these words.
        if word != "word" && !SCRIPT_WORDS.contains(&word) {
            return Some(word);
        }
        rest = after;
    }
    None
}

/// What splits users between the slices on AWS; `by` says which way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum AwsTraffic {
    /// Nothing: the one slice gets all users that its target groups get.
    #[default]
    Group,
    /// The weights of a forward action of an Application Load Balancer, 0 to 999 per target group.
    /// Needs `target_groups`, one per slice.
    Listener {
        /// ARN of the listener.
        listener: String,
        /// ARN of the rule. Left out: the listener's default action.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// Weighted records of Route 53, one per slice, each of them an alias to that slice's load
    /// balancer or an address. The shares are of DNS answers, not of requests.
    Dns {
        /// Id of the hosted zone.
        zone: String,
        /// Name of both records.
        name: String,
        /// `SetIdentifier` of each slice's record, blue first.
        identifiers: Vec<String>,
    },
    /// The slices' groups are attached to one target group and detached from it, whole.
    Attach {
        /// ARN of the target group.
        target_group: String,
    },
}

/// Where DNS splits users, one answer serves many of them, so that requests are no independent evidence;
/// where nothing splits them, there is nothing to compare.
const NO_COUNTS: Lack = Lack {
    what: "count requests that chance splits between the releases, which a traffic gate needs",
    remedy: "set `traffic: {by: listener}`, use a CloudWatch or compare gate, or leave the gate out with --no-gates",
};

impl AwsGroup {
    /// The name of the Auto Scaling group of `slice`.
    #[must_use]
    pub fn group_name(&self, place: &Place, slice: Slice) -> String {
        let named = self.groups.get(index(slice)).cloned();
        named.unwrap_or_else(|| format!("{}-{}-{slice}", place.service, place.environment))
    }

    /// What AWS can do, which depends on what splits the users there.
    pub(super) fn abilities(&self) -> Abilities {
        let by_dns = Lack {
            what: "keep users on a side where DNS splits them",
            remedy: "take stickiness out of the manifest of the server group, or set `traffic: {by: listener}`",
        };
        let able = Abilities {
            splits_users: Ok(()),
            keeps_users_by_cookie: Ok(()),
            keeps_users_by_header: Ok(()),
            mirrors: Err(NO_MIRRORS),
            counts_requests: Err(NO_COUNTS),
            counts_users: Err(Lack {
                what: "count users, which a traffic gate needs where they stick",
                remedy: "take stickiness out of the manifest of the server group, or use a CloudWatch or compare gate",
            }),
            tells_paths: Err(NO_PATHS),
            checks_health: Err(OWN_CHECKS),
            refreshes: true,
            has_images: ProviderKind::Aws.has_images(),
            answers_gates: true,
            adopts: true,
        };
        match &self.traffic {
            AwsTraffic::Group => able,
            AwsTraffic::Listener { .. } => Abilities {
                keeps_users_by_header: Err(Lack {
                    what: "keep users on a side by a header",
                    remedy: "set `stickiness: {by: cookie}` in the manifest of the server group",
                }),
                counts_requests: Ok(()),
                ..able
            },
            AwsTraffic::Dns { .. } => Abilities {
                keeps_users_by_cookie: Err(by_dns),
                keeps_users_by_header: Err(by_dns),
                ..able
            },
            AwsTraffic::Attach { .. } => Abilities {
                splits_users: Err(Lack {
                    what: "split users by weights where groups are attached and detached whole",
                    remedy: "deploy with --strategy blue-green and no --weights, or set `traffic: {by: listener}`",
                }),
                ..able
            },
        }
    }

    /// Both target groups, blue first, where the weights of a listener split the requests between them.
    #[must_use]
    pub fn splits_requests(&self) -> Option<(&str, [&str; 2])> {
        let AwsTraffic::Listener { listener, .. } = &self.traffic else {
            return None;
        };
        match self.target_groups.as_slice() {
            [blue, green] => Some((listener, [blue, green])),
            _ => None,
        }
    }

    /// The target group of `slice`, where one was named.
    #[must_use]
    pub fn target_group(&self, slice: Slice) -> Option<&str> {
        self.target_groups.get(index(slice)).map(String::as_str)
    }
}

/// The place of `slice` in lists that name blue first.
#[must_use]
pub fn index(slice: Slice) -> usize {
    match slice {
        Slice::Blue => 0,
        Slice::Green => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_splits_the_users_decides_what_aws_can_do() {
        let on = |traffic: &str| {
            let text = format!(r#"{{"account": "eu", "traffic": {traffic}}}"#);
            let aws: AwsGroup = serde_json::from_str(&text).unwrap();
            let able = aws.abilities();
            [
                able.splits_users,
                able.keeps_users_by_cookie,
                able.keeps_users_by_header,
            ]
            .map(|able| able.is_ok())
        };
        assert_eq!(on(r#"{"by": "group"}"#), [true, true, true]);
        assert_eq!(
            on(r#"{"by": "listener", "listener": "arn"}"#),
            [true, true, false]
        );
        assert_eq!(
            on(r#"{"by": "dns", "zone": "Z", "name": "x", "identifiers": []}"#),
            [true, false, false]
        );
        assert_eq!(
            on(r#"{"by": "attach", "target_group": "arn"}"#),
            [false, true, true]
        );
    }
}
