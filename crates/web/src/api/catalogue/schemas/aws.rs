//! What accounts and the AWS side of server groups look like in answers.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// Where a provider is reached, and as whom. Credentials are never part of it: they come from the
/// environment of the server.
#[derive(ToSchema)]
pub struct Account {
    /// Unique name.
    pub name: String,
    /// What runs there.
    #[schema(required = false)]
    pub description: String,
    /// `local`, `aws`, or `custom` for a provider of your own.
    pub provider: String,
    /// AWS, and needed there: the region, such as `eu-west-1`.
    #[schema(required = false)]
    pub region: Option<String>,
    /// AWS: the role to assume there. Left out: as the server itself.
    #[schema(required = false)]
    pub role_arn: Option<String>,
    /// AWS: the external id that the role asks for.
    #[schema(required = false)]
    pub external_id: Option<String>,
    /// AWS: another endpoint for every service: a VPC endpoint, an emulator.
    #[schema(required = false)]
    pub endpoint_url: Option<String>,
    /// AWS: the S3 bucket that packages are kept in for the instances to fetch.
    #[schema(required = false)]
    pub package_bucket: Option<String>,
    /// Changes with every put.
    #[schema(read_only)]
    pub version: i64,
    /// RFC 3339.
    #[schema(read_only)]
    pub updated_at: String,
    /// Who put it.
    #[schema(read_only)]
    pub updated_by: String,
}

/// The AWS side of a server group: an Auto Scaling group per slice.
#[derive(ToSchema)]
pub struct AwsGroup {
    /// The account it is in.
    pub account: String,
    /// Names of the Auto Scaling groups, that of blue first. Left out: `service-environment-slice`.
    #[schema(required = false)]
    pub groups: Vec<String>,
    /// ARNs of the target groups of each slice, that of blue first. Left out: whatever the Auto
    /// Scaling groups are attached to.
    #[schema(required = false)]
    pub target_groups: Vec<String>,
    /// How the groups are made at the first deployment. Left out: they exist.
    #[schema(required = false)]
    pub create: Option<AwsCreate>,
    /// What splits the users between the slices. Left out: nothing does, there is one slice.
    #[schema(required = false)]
    pub traffic: AwsTraffic,
    /// Replaces the start-up script that fetches, checks and starts a package; at most 12 KiB.
    #[schema(required = false)]
    pub user_data: Option<String>,
}

/// How an Auto Scaling group and its launch template are made.
#[derive(ToSchema)]
pub struct AwsCreate {
    /// Id of the machine image that packages are started on.
    pub image: String,
    /// Such as `t3.small`.
    pub instance_type: String,
    /// Ids of the subnets; their zones are the group's zones.
    #[schema(min_items = 1, max_items = 16)]
    pub subnets: Vec<String>,
    /// Ids of the security groups.
    #[schema(required = false, max_items = 16)]
    pub security_groups: Vec<String>,
    /// Name of the instance profile; instances that fetch packages need one that may read them.
    #[schema(required = false)]
    pub instance_profile: Option<String>,
    /// Name of the key pair.
    #[schema(required = false)]
    pub key_name: Option<String>,
    /// Size of the root volume in GiB. Left out: as the image says.
    #[schema(required = false, minimum = 1, maximum = 16_384)]
    pub root_gib: Option<u32>,
    /// Volumes beside the root volume.
    #[schema(required = false, max_items = 16)]
    pub volumes: Vec<AwsVolume>,
    /// Detailed (one-minute) monitoring.
    #[schema(required = false)]
    pub monitoring: bool,
    /// How long a new instance may be unhealthy before it is replaced, in seconds.
    #[schema(required = false, default = 300, maximum = 7200)]
    pub grace_seconds: u32,
    /// Tags of group and instances, beside those that Pointsman sets.
    #[schema(required = false)]
    pub tags: BTreeMap<String, String>,
}

/// A volume beside the root volume: encrypted, empty, and deleted with its instance.
#[derive(ToSchema)]
pub struct AwsVolume {
    /// What the instance knows it by, such as `/dev/sdf`.
    pub device: String,
    /// Its size in GiB.
    #[schema(minimum = 1, maximum = 16_384)]
    pub gib: u32,
    /// What it is made of.
    #[schema(required = false, default = "gp3")]
    pub r#type: AwsVolumeKind,
}

/// What a volume is made of.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AwsVolumeKind {
    /// Solid state.
    Gp3,
    /// Solid state, of the generation before.
    Gp2,
    /// Disks for long reads and writes; 125 GiB or more.
    St1,
    /// The cheapest disks; 125 GiB or more.
    Sc1,
    /// Disks of the oldest generation; 1024 GiB or less.
    Standard,
}

/// What splits the users between the slices; `by` says which way.
#[derive(ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum AwsTraffic {
    /// Nothing: the one slice gets all users that its target groups get.
    Group,
    /// The weights of a forward action of an Application Load Balancer.
    Listener {
        /// ARN of the listener.
        listener: String,
        /// ARN of the rule; left out: the listener's default action.
        #[schema(required = false)]
        rule: Option<String>,
    },
    /// Weighted records of Route 53, one per slice. The shares are of DNS answers, not of requests.
    Dns {
        /// Id of the hosted zone.
        zone: String,
        /// The name of both records.
        name: String,
        /// The `SetIdentifier` of each slice's record, that of blue first.
        identifiers: Vec<String>,
    },
    /// The slices' groups are attached to one target group and detached from it, whole.
    Attach {
        /// ARN of the target group.
        target_group: String,
    },
}
