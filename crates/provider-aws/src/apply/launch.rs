//! What new instances of a slice start from: the launch template version of its Auto Scaling group.

use aws_sdk_autoscaling::types::LaunchTemplateSpecification;
use domain::{release::Launch, slice::Slice};
use engine::ports::{ErrorKind, ProviderError};

use crate::{
    apply::{change::Change, create, template_version},
    calls::{call::UPDATE_AUTO_SCALING_GROUP, clients::Clients, errors::invalid},
    resources::{
        description,
        groups::{Group, TemplateVersion, group},
    },
};

/// Sets what new instances of `slice` start from; `None`: machines without a release.
pub async fn set(
    change: &Change<'_>,
    slice: Slice,
    launch: Option<&Launch>,
) -> Result<(), ProviderError> {
    let name = change.group_name(slice);
    let Some(group) = group_for(change, slice, launch).await? else {
        return Ok(());
    };
    let Some(current) = &group.launches else {
        return Err(invalid(format!(
            "the Auto Scaling group {name} does not launch a numbered version of a launch template"
        )));
    };
    let version = version_for(change, &current.template, launch).await?;
    if *current == version {
        return Ok(());
    }
    update(&change.account.clients, &name, &version).await
}

/// The group of `slice`, created if necessary; `None`: there is none, and nothing to launch.
async fn group_for(
    change: &Change<'_>,
    slice: Slice,
    launch: Option<&Launch>,
) -> Result<Option<Group>, ProviderError> {
    let clients = &change.account.clients;
    let name = change.group_name(slice);
    let missing = match group(clients, &name).await {
        Err(error) if error.kind == ErrorKind::Missing => error,
        other => return other.map(Some),
    };
    match (launch, &change.aws.create) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(missing),
        (Some(_), Some(settings)) => {
            create::group(change, settings, slice).await?;
            group(clients, &name).await.map(Some)
        }
    }
}

async fn version_for(
    change: &Change<'_>,
    template: &str,
    launch: Option<&Launch>,
) -> Result<TemplateVersion, ProviderError> {
    let Some(launch) = launch else {
        return template_version::base(change.account, template).await;
    };
    match description::foreign_parts(&launch.id) {
        Some((template, number)) => Ok(TemplateVersion {
            template: template.to_owned(),
            number,
        }),
        None => template_version::of(change, template, launch).await,
    }
}

async fn update(
    clients: &Clients,
    name: &str,
    version: &TemplateVersion,
) -> Result<(), ProviderError> {
    let specification = LaunchTemplateSpecification::builder()
        .launch_template_id(&version.template)
        .version(version.number.to_string());
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(name)
        .launch_template(specification.build());
    clients
        .make(&UPDATE_AUTO_SCALING_GROUP, request.send())
        .await?;
    Ok(())
}
