//! A launch becomes a numbered version of the group's launch template, complete in itself.
//!
//! Invariant: a version is looked for before it is made, and made with a client token; a lost answer
//! never makes a second one.

use aws_sdk_ec2::types::RequestLaunchTemplateData;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    catalogue::AwsGroup,
    effect::Target,
    observation::Slice,
    release::{Content, Launch},
};
use engine::ports::{ErrorKind, ProviderError};
use sha2::{Digest as _, Sha256};

use crate::{
    account::AwsAccount,
    apply::{
        create,
        packages::{Packages, Patience},
        script,
    },
    calls::{
        errors::{failed, invalid, missing},
        rate_limiter::Bucket,
        retry::retry,
    },
    resources::{
        description::{self, Description},
        groups::{TemplateVersion, group},
        templates::{self, Version},
    },
};

const CREATE_VERSION: &str = "ec2:CreateLaunchTemplateVersion";
const UPDATE: &str = "autoscaling:UpdateAutoScalingGroup";
/// Longest user data that EC2 takes, in bytes before base 64 ("Run commands at launch", 2026-11).
const USER_DATA_MAX: usize = 16 * 1024;

/// New instances of `slice` start from `launch` from now on.
pub async fn set(
    account: &AwsAccount,
    packages: &Packages,
    target: &Target,
    aws: &AwsGroup,
    slice: Slice,
    launch: Option<&Launch>,
) -> Result<(), ProviderError> {
    let clients = &*account.clients;
    let name = aws.group_name(&target.place, slice);
    let group = match group(clients, &name).await {
        Err(error) if error.kind == ErrorKind::Missing => match (launch, &aws.create) {
            (None, _) => return Ok(()),
            (Some(_), Some(settings)) => {
                create::group(clients, target, aws, settings, slice).await?;
                group(clients, &name).await?
            }
            (Some(_), None) => return Err(error),
        },
        other => other?,
    };
    let Some(current) = &group.launches else {
        return Err(invalid(format!(
            "the Auto Scaling group {name} does not launch a numbered version of a launch template"
        )));
    };
    let version = match launch {
        None => base(account, &current.template).await?,
        Some(launch) => match description::foreign_parts(&launch.id) {
            Some((template, number)) => TemplateVersion {
                template: template.to_owned(),
                number,
            },
            None => of(account, packages, target, aws, &current.template, launch).await?,
        },
    };
    if *current == version {
        return Ok(());
    }
    clients.calls.take(Bucket::ScalingWrite, UPDATE).await;
    let specification = aws_sdk_autoscaling::types::LaunchTemplateSpecification::builder()
        .launch_template_id(&version.template)
        .version(version.number.to_string());
    let request = clients
        .scaling
        .update_auto_scaling_group()
        .auto_scaling_group_name(&name)
        .launch_template(specification.build());
    request
        .send()
        .await
        .map_err(|error| failed(UPDATE, &error))?;
    Ok(())
}

/// The version with machines and no release, of a template that Pointsman made.
async fn base(account: &AwsAccount, template: &str) -> Result<TemplateVersion, ProviderError> {
    let versions = all(account, template).await?;
    let base = versions
        .into_iter()
        .find(|version| version.description == Description::Base);
    base.map(|version| version.at).ok_or_else(|| {
        missing(format!(
            "the launch template {template} has no version without a release to go back to"
        ))
    })
}

/// The version that `launch` is; made if it is not there.
pub async fn of(
    account: &AwsAccount,
    packages: &Packages,
    target: &Target,
    aws: &AwsGroup,
    template: &str,
    launch: &Launch,
) -> Result<TemplateVersion, ProviderError> {
    let clients = &*account.clients;
    let versions = all(account, template).await?;
    let is_it = |version: &&Version| version.description == Description::Launch(launch.clone());
    if let Some(version) = versions.iter().find(is_it) {
        return Ok(version.at.clone());
    }
    // Machines are as people described them last: the newest version that Pointsman did not make for
    // a release.
    let source = versions
        .iter()
        .find(|version| !matches!(version.description, Description::Launch(_)));
    let source = source.ok_or_else(|| {
        missing(format!(
            "the launch template {template} has no version that describes machines"
        ))
    })?;
    let mut data = RequestLaunchTemplateData::builder();
    if let Some(image) = launch.content.image() {
        data = data.image_id(image.as_str());
        if let Some(settings) = &aws.create {
            let devices = create::other_devices(clients, settings, image).await?;
            data = data.set_block_device_mappings(devices);
        }
    }
    if let Content::Package { digest, .. } = &launch.content {
        let location = packages.bring(clients, digest, Patience::OfATurn).await?;
        let script = script::render(target, aws, launch, &location)?;
        if script.len() > USER_DATA_MAX {
            return Err(invalid(format!(
                "the start-up script of {} has {} bytes; EC2 takes at most {USER_DATA_MAX}",
                launch.version,
                script.len()
            )));
        }
        data = data.user_data(STANDARD.encode(script));
    }
    let description = description::write(launch);
    clients.calls.take(Bucket::Ec2Write, CREATE_VERSION).await;
    let request = clients
        .ec2
        .create_launch_template_version()
        .launch_template_id(template)
        .source_version(source.at.number.to_string())
        .version_description(&description)
        .client_token(token(template, &description))
        .launch_template_data(data.build());
    let answer = request
        .send()
        .await
        .map_err(|error| failed(CREATE_VERSION, &error))?;
    if let Some(warning) = answer.warning() {
        for error in warning.errors() {
            tracing::warn!(
                template,
                code = error.code(),
                message = error.message(),
                "a new launch template version"
            );
        }
    }
    let made = answer
        .launch_template_version()
        .and_then(templates::version);
    let made = made.ok_or_else(|| unclear(template))?;
    if made.description != Description::Launch(launch.clone()) {
        return Err(unclear(template));
    }
    let at = made.at.clone();
    account.templates.remember(made);
    Ok(at)
}

async fn all(account: &AwsAccount, template: &str) -> Result<Vec<Version>, ProviderError> {
    retry(|| account.templates.all(&account.clients, template)).await
}

/// The same request has the same token, whoever makes it: at most 64 characters.
fn token(template: &str, description: &str) -> String {
    let digest = Sha256::digest(format!("{template} {description}"));
    domain::release::Digest::from_bytes(digest.into()).to_string()
}

fn unclear(template: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Unavailable,
        format!(
            "AWS does not say which version of the launch template {template} it made; looking again"
        ),
    )
}
