//! A launch as a numbered version of the group's launch template, complete in itself.
//!
//! Invariant: a version is looked up before it is created, and created with a client token. A lost answer
//! never leads to a second one.

use aws_sdk_ec2::types::{LaunchTemplateVersion, RequestLaunchTemplateData, ValidationWarning};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::release::{Content, Digest, Launch};
use engine::ports::{ErrorKind, ProviderError};
use sha2::{Digest as _, Sha256};

use crate::{
    account::AwsAccount,
    apply::{change::Change, create, packages::Patience, script},
    calls::{
        call::CREATE_LAUNCH_TEMPLATE_VERSION,
        errors::{invalid, missing},
        retry::retry,
    },
    resources::{
        description::{self, Description},
        groups::TemplateVersion,
        templates::{self, Version},
    },
};

/// Longest user data that EC2 takes, in bytes before base 64 ("Run commands at launch", 2026-11).
const USER_DATA_MAX: usize = 16 * 1024;

/// The version with machines and no release, of a template that Pointsman created.
pub async fn base(account: &AwsAccount, template: &str) -> Result<TemplateVersion, ProviderError> {
    let versions = all(account, template).await?;
    let base = versions
        .into_iter()
        .find(|version| version.description == Description::Base);
    base.map(|version| version.at).ok_or_else(|| {
        missing(format!(
            "the launch template {template} has no version without a release to return to"
        ))
    })
}

/// The version for `launch`, created if there is none yet.
pub async fn of(
    change: &Change<'_>,
    template: &str,
    launch: &Launch,
) -> Result<TemplateVersion, ProviderError> {
    let versions = all(change.account, template).await?;
    let wanted = Description::Launch(launch.clone());
    if let Some(version) = versions.iter().find(|it| it.description == wanted) {
        return Ok(version.at.clone());
    }
    // People describe the machines: the source is the newest version that Pointsman did not create for a
    // release.
    let source = versions
        .iter()
        .find(|version| !matches!(version.description, Description::Launch(_)));
    let source = source.ok_or_else(|| {
        missing(format!(
            "the launch template {template} has no version that describes machines"
        ))
    })?;
    let data = template_data(change, launch).await?;
    let created = create_version(change.account, &source.at, launch, data).await?;
    let created = created.as_ref().and_then(templates::version);
    let created = created.filter(|version| version.description == wanted);
    let created = created.ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Unavailable,
            format!(
                "AWS does not say which version of the launch template {template} it created; retrying"
            ),
        )
    })?;
    let at = created.at.clone();
    change.account.templates.remember(created);
    Ok(at)
}

/// Every version of a template, newest first.
async fn all(account: &AwsAccount, template: &str) -> Result<Vec<Version>, ProviderError> {
    retry(|| account.templates.all(&account.clients, template)).await
}

/// What the version for `launch` changes in its source: the image or the start-up script.
async fn template_data(
    change: &Change<'_>,
    launch: &Launch,
) -> Result<RequestLaunchTemplateData, ProviderError> {
    let clients = &change.account.clients;
    let mut data = RequestLaunchTemplateData::builder();
    if let Some(image) = launch.content.image() {
        data = data.image_id(image.as_str());
        if let Some(settings) = &change.aws.create {
            let devices = create::other_devices(clients, settings, image).await?;
            data = data.set_block_device_mappings(devices);
        }
    }
    if let Content::Package { digest, .. } = &launch.content {
        let script = start_up_script(change, launch, digest).await?;
        data = data.user_data(STANDARD.encode(script));
    }
    Ok(data.build())
}

/// The start-up script, with the package where instances can fetch it.
async fn start_up_script(
    change: &Change<'_>,
    launch: &Launch,
    digest: &Digest,
) -> Result<String, ProviderError> {
    let clients = &change.account.clients;
    let brought = change.packages.bring(clients, digest, Patience::OfATurn);
    let script = script::render(change.target, change.aws, launch, &brought.await?)?;
    if script.len() > USER_DATA_MAX {
        return Err(invalid(format!(
            "the start-up script of {} has {} bytes; EC2 takes at most {USER_DATA_MAX}",
            launch.version,
            script.len()
        )));
    }
    Ok(script)
}

/// Creates a version; `None`: AWS does not say which.
async fn create_version(
    account: &AwsAccount,
    source: &TemplateVersion,
    launch: &Launch,
    data: RequestLaunchTemplateData,
) -> Result<Option<LaunchTemplateVersion>, ProviderError> {
    let TemplateVersion { template, number } = source;
    let clients = &account.clients;
    let description = description::write(launch);
    let request = clients
        .ec2
        .create_launch_template_version()
        .launch_template_id(template)
        .source_version(number.to_string())
        .version_description(&description)
        .client_token(token(template, &description))
        .launch_template_data(data);
    let answer = clients
        .make(&CREATE_LAUNCH_TEMPLATE_VERSION, request.send())
        .await?;
    let warnings = answer.warning().map(ValidationWarning::errors);
    for warning in warnings.unwrap_or_default() {
        tracing::warn!(
            template,
            code = warning.code(),
            message = warning.message(),
            "AWS warns of a new launch template version"
        );
    }
    Ok(answer.launch_template_version().cloned())
}

/// The same request has the same token, on whichever machine it is made: at most 64 characters.
fn token(template: &str, description: &str) -> String {
    let digest = Sha256::digest(format!("{template} {description}"));
    Digest::from_bytes(digest.into()).to_string()
}
