//! Auto Scaling groups and launch templates that Pointsman makes, from what the manifest says.
//!
//! Invariant: each request can be made twice; a group begins empty and is filled by a deployment.

use aws_sdk_autoscaling::types::{LaunchTemplateSpecification, Tag as GroupTag};
use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateTagSpecificationRequest,
    LaunchTemplatesMonitoringRequest, RequestLaunchTemplateData, ResourceType, Tag,
};
use domain::{
    catalogue::{AwsCreate, AwsGroup, AwsVolumeKind},
    effect::Target,
    observation::Slice,
    release::ImageId,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    calls::{
        clients::Clients,
        errors::{failed, invalid},
        rate_limiter::Bucket,
    },
    resources::{
        description,
        images::{self, Root},
    },
};

const CREATE_TEMPLATE: &str = "ec2:CreateLaunchTemplate";
const CREATE_GROUP: &str = "autoscaling:CreateAutoScalingGroup";

/// Makes the group of `slice` with its launch template, empty.
pub async fn group(
    clients: &Clients,
    target: &Target,
    aws: &AwsGroup,
    settings: &AwsCreate,
    slice: Slice,
) -> Result<(), ProviderError> {
    let name = aws.group_name(&target.place, slice);
    template(clients, target, settings, &name).await?;
    clients.calls.take(Bucket::ScalingWrite, CREATE_GROUP).await;
    let specification = LaunchTemplateSpecification::builder()
        .launch_template_name(&name)
        .version("1");
    let mut request = clients
        .scaling
        .create_auto_scaling_group()
        .auto_scaling_group_name(&name)
        .launch_template(specification.build())
        .min_size(0)
        .max_size(0)
        .desired_capacity(0)
        .vpc_zone_identifier(settings.subnets.join(","))
        .health_check_grace_period(i32::try_from(settings.grace_seconds).unwrap_or(i32::MAX))
        .default_instance_warmup(0);
    if let Some(arn) = aws.target_group(slice) {
        request = request.target_group_arns(arn).health_check_type("ELB");
    }
    for (key, value) in tags(target, settings) {
        let tag = GroupTag::builder()
            .key(key)
            .value(value)
            .propagate_at_launch(true);
        request = request.tags(tag.build());
    }
    match request
        .send()
        .await
        .map_err(|error| failed(CREATE_GROUP, &error))
    {
        Err(error) if error.message.contains("AlreadyExists") => Ok(()),
        other => other.map(drop),
    }
}

async fn template(
    clients: &Clients,
    target: &Target,
    settings: &AwsCreate,
    name: &str,
) -> Result<(), ProviderError> {
    let tags: Vec<Tag> = tags(target, settings)
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    let tagged = |kind: ResourceType| {
        let tags = Some(tags.clone());
        let specification = LaunchTemplateTagSpecificationRequest::builder();
        specification.resource_type(kind).set_tags(tags).build()
    };
    // Instances answer questions about themselves to session tokens only (IMDSv2).
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder()
        .http_tokens(LaunchTemplateHttpTokensState::Required);
    let mut data = RequestLaunchTemplateData::builder()
        .image_id(settings.image.as_str())
        .instance_type(settings.instance_type.as_str().into())
        .metadata_options(metadata.build())
        .tag_specifications(tagged(ResourceType::Instance))
        .tag_specifications(tagged(ResourceType::Volume))
        .set_key_name(settings.key_name.clone());
    if !settings.security_groups.is_empty() {
        data = data.set_security_group_ids(Some(settings.security_groups.clone()));
    }
    if settings.monitoring {
        let monitoring = LaunchTemplatesMonitoringRequest::builder().enabled(true);
        data = data.monitoring(monitoring.build());
    }
    if let Some(profile) = &settings.instance_profile {
        let profile = LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name(profile);
        data = data.iam_instance_profile(profile.build());
    }
    let devices = devices(clients, settings, &settings.image).await?;
    data = data.set_block_device_mappings(devices);
    clients.calls.take(Bucket::Ec2Write, CREATE_TEMPLATE).await;
    let request = clients
        .ec2
        .create_launch_template()
        .launch_template_name(name)
        .version_description(description::BASE)
        .client_token(name)
        .launch_template_data(data.build());
    match request
        .send()
        .await
        .map_err(|error| failed(CREATE_TEMPLATE, &error))
    {
        Err(error) if error.message.contains("AlreadyExists") => Ok(()),
        Err(error) if error.kind == ErrorKind::Invalid => Err(invalid(format!(
            "{}; see `aws.create` in the manifest of {}",
            error.message, target.place
        ))),
        other => other.map(drop),
    }
}

/// The volumes of machines that start from `image` and not from the one of the manifest; `None`: the
/// launch template has the right ones.
pub async fn other_devices(
    clients: &Clients,
    settings: &AwsCreate,
    image: &ImageId,
) -> Result<Option<Vec<LaunchTemplateBlockDeviceMappingRequest>>, ProviderError> {
    if settings.root_gib.is_none() || *image == settings.image {
        return Ok(None);
    }
    // The image of the manifest may be gone by now.
    let ours = images::root(clients, &settings.image).await.ok();
    let theirs = images::root(clients, image).await?;
    if ours.is_some_and(|ours| ours.device == theirs.device) {
        return check_root(settings, image, &theirs).map(|()| None);
    }
    devices(clients, settings, image).await
}

/// The volumes of machines that start from `image`; `None`: as it says.
async fn devices(
    clients: &Clients,
    settings: &AwsCreate,
    image: &ImageId,
) -> Result<Option<Vec<LaunchTemplateBlockDeviceMappingRequest>>, ProviderError> {
    let mut devices = Vec::new();
    if let Some(gib) = settings.root_gib {
        let root = images::root(clients, image).await?;
        check_root(settings, image, &root)?;
        devices.push(device(&root.device, gib, AwsVolumeKind::Gp3)?);
    }
    for volume in &settings.volumes {
        devices.push(device(&volume.device, volume.gib, volume.kind)?);
    }
    Ok((!devices.is_empty()).then_some(devices))
}

/// EC2 starts nothing on a volume that is smaller than what shall be on it.
fn check_root(settings: &AwsCreate, image: &ImageId, root: &Root) -> Result<(), ProviderError> {
    match (settings.root_gib, root.gib) {
        (Some(gib), Some(least)) if gib < least => Err(invalid(format!(
            "root_gib is {gib}, and the root volume of the image {image} has {least} GiB already"
        ))),
        _ => Ok(()),
    }
}

fn device(
    name: &str,
    gib: u32,
    kind: AwsVolumeKind,
) -> Result<LaunchTemplateBlockDeviceMappingRequest, ProviderError> {
    let gib = i32::try_from(gib).map_err(|_| invalid(format!("{name} is too large")))?;
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(gib)
        .volume_type(kind.as_str().into())
        .encrypted(true)
        .delete_on_termination(true);
    let mapping = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(name);
    Ok(mapping.ebs(volume.build()).build())
}

/// What people and bills know the machines by.
fn tags<'a>(
    target: &'a Target,
    settings: &'a AwsCreate,
) -> impl Iterator<Item = (&'a str, String)> {
    let own = [
        ("Name", target.place.to_string()),
        ("pointsman:service", target.place.service.to_string()),
        (
            "pointsman:environment",
            target.place.environment.to_string(),
        ),
    ];
    let others = settings
        .tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()));
    let named = settings.tags.contains_key("Name");
    own.into_iter()
        .filter(move |(key, _)| !(named && *key == "Name"))
        .chain(others)
}
