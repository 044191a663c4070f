//! Auto Scaling groups and launch templates that Pointsman creates, as the manifest describes them.
//!
//! Invariant: each request can be made twice. A new group is empty until a deployment fills it.

use aws_sdk_autoscaling::types::{LaunchTemplateSpecification, Tag as GroupTag};
use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateHttpTokensState, LaunchTemplateIamInstanceProfileSpecificationRequest,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateTagSpecificationRequest,
    LaunchTemplatesMonitoringRequest, RequestLaunchTemplateData, ResourceType, Tag,
};
use domain::{
    catalogue::{AwsCreate, AwsVolumeKind},
    effect::Target,
    release::ImageId,
    slice::Slice,
};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    apply::change::Change,
    calls::{
        call::{CREATE_AUTO_SCALING_GROUP, CREATE_LAUNCH_TEMPLATE},
        clients::Clients,
        errors::{Failed, invalid},
    },
    resources::{
        description,
        images::{self, Root},
    },
};

/// Creates the group of `slice`, empty, and its launch template.
pub async fn group(
    change: &Change<'_>,
    settings: &AwsCreate,
    slice: Slice,
) -> Result<(), ProviderError> {
    let clients = &change.account.clients;
    let name = change.group_name(slice);
    template(change, settings, &name).await?;
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
    if let Some(arn) = change.aws.target_group(slice) {
        request = request.target_group_arns(arn).health_check_type("ELB");
    }
    for (key, value) in tags(change.target, settings) {
        let tag = GroupTag::builder()
            .key(key)
            .value(value)
            .propagate_at_launch(true);
        request = request.tags(tag.build());
    }
    match clients
        .make(&CREATE_AUTO_SCALING_GROUP, request.send())
        .await
    {
        Err(failed) if failed.is("AlreadyExists") => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

async fn template(
    change: &Change<'_>,
    settings: &AwsCreate,
    name: &str,
) -> Result<(), ProviderError> {
    let clients = &change.account.clients;
    let tags: Vec<Tag> = tags(change.target, settings)
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    let tagged = |kind: ResourceType| {
        let tags = Some(tags.clone());
        let specification = LaunchTemplateTagSpecificationRequest::builder();
        specification.resource_type(kind).set_tags(tags).build()
    };
    // Instances require session tokens for their metadata (IMDSv2).
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
    let request = clients
        .ec2
        .create_launch_template()
        .launch_template_name(name)
        .version_description(description::BASE)
        .client_token(name)
        .launch_template_data(data.build());
    match clients.make(&CREATE_LAUNCH_TEMPLATE, request.send()).await {
        Err(failed) if failed.is("InvalidLaunchTemplateName.AlreadyExistsException") => Ok(()),
        Err(Failed { error, .. }) if error.kind == ErrorKind::Invalid => Err(invalid(format!(
            "{}; see `aws.create` in the manifest of {}",
            error.message, change.target.place
        ))),
        other => Ok(other.map(drop)?),
    }
}

/// The volumes of machines that start from `image` instead of the image of the manifest; `None`: those of
/// the launch template.
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

/// The volumes of machines that start from `image`; `None`: those of the image.
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

/// EC2 refuses a root volume that is smaller than the image's.
fn check_root(settings: &AwsCreate, image: &ImageId, root: &Root) -> Result<(), ProviderError> {
    match (settings.root_gib, root.gib) {
        (Some(gib), Some(least)) if gib < least => Err(invalid(format!(
            "root_gib is {gib}, but the root volume of the image {image} has {least} GiB already"
        ))),
        _ => Ok(()),
    }
}

fn device(
    name: &str,
    gib: u32,
    kind: AwsVolumeKind,
) -> Result<LaunchTemplateBlockDeviceMappingRequest, ProviderError> {
    let gib = i32::try_from(gib).map_err(|_| invalid(format!("the volume {name} is too large")))?;
    let volume = LaunchTemplateEbsBlockDeviceRequest::builder()
        .volume_size(gib)
        .volume_type(kind.as_str().into())
        .encrypted(true)
        .delete_on_termination(true);
    let mapping = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(name);
    Ok(mapping.ebs(volume.build()).build())
}

/// The tags of the group, its machines and their volumes.
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
