//! Versions of launch templates: what instances were launched from, and how a launch becomes one.
//!
//! Invariant: a version never changes, so what was read once is known for good.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use aws_sdk_ec2::types::LaunchTemplateVersion;
use domain::release::{ImageId, Launch, LaunchId};
use engine::ports::ProviderError;

use crate::{
    calls::{clients::Clients, errors::failed, rate_limiter::Bucket},
    resources::{
        description::{self, Description},
        groups::TemplateVersion,
    },
};

const DESCRIBE: &str = "ec2:DescribeLaunchTemplateVersions";
/// Most versions that are remembered; they are read again after that.
const REMEMBERED_MAX: usize = 20_000;
/// Most versions that are asked for in one call.
const VERSIONS_MAX: usize = 200;

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Which.
    pub at: TemplateVersion,
    /// What it is for.
    pub description: Description,
    /// The image that it starts.
    pub image: Option<ImageId>,
    /// The user data as AWS keeps it, in base 64.
    pub user_data: Option<String>,
}

impl Version {
    /// What instances of it count as.
    #[must_use]
    pub fn launch(&self) -> Option<Launch> {
        match &self.description {
            Description::Launch(launch) => Some(launch.clone()),
            Description::Base => None,
            Description::Foreign => {
                description::foreign(&self.at.template, self.at.number, self.image.as_ref()?)
            }
        }
    }

    /// What instances of it are counted by.
    #[must_use]
    pub fn launch_id(&self) -> LaunchId {
        match &self.description {
            Description::Launch(launch) => launch.id.clone(),
            Description::Base | Description::Foreign => {
                description::foreign_id(&self.at.template, self.at.number)
            }
        }
    }
}

/// The versions that were read.
#[derive(Debug, Default)]
pub struct Templates {
    known: Mutex<BTreeMap<TemplateVersion, Version>>,
}

impl Templates {
    /// A version that was read before.
    #[must_use]
    pub fn known(&self, at: &TemplateVersion) -> Option<Version> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(at).cloned()
    }

    /// Reads those of `wanted` that are not known yet.
    pub async fn learn(
        &self,
        clients: &Clients,
        wanted: &BTreeSet<TemplateVersion>,
    ) -> Result<(), ProviderError> {
        let mut unknown: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for at in wanted.iter().filter(|at| self.known(at).is_none()) {
            let numbers = unknown.entry(&at.template).or_default();
            numbers.push(at.number.to_string());
        }
        for (template, numbers) in unknown {
            for numbers in numbers.chunks(VERSIONS_MAX) {
                self.read(clients, template, Some(numbers.to_vec())).await?;
            }
        }
        Ok(())
    }

    /// Every version of a template, newest first.
    pub async fn all(
        &self,
        clients: &Clients,
        template: &str,
    ) -> Result<Vec<Version>, ProviderError> {
        let mut versions = self.read(clients, template, None).await?;
        versions.sort_by_key(|version| std::cmp::Reverse(version.at.number));
        Ok(versions)
    }

    async fn read(
        &self,
        clients: &Clients,
        template: &str,
        numbers: Option<Vec<String>>,
    ) -> Result<Vec<Version>, ProviderError> {
        let mut found = Vec::new();
        let mut next = None;
        loop {
            clients.calls.take(Bucket::Ec2Read, DESCRIBE).await;
            let request = clients.ec2.describe_launch_template_versions();
            let request = request.launch_template_id(template);
            let request = request.set_versions(numbers.clone()).set_next_token(next);
            let page = request
                .send()
                .await
                .map_err(|error| failed(DESCRIBE, &error))?;
            found.extend(page.launch_template_versions().iter().filter_map(version));
            next = page
                .next_token()
                .filter(|it| !it.is_empty())
                .map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED_MAX {
            known.clear();
        }
        known.extend(found.iter().map(|it: &Version| (it.at.clone(), it.clone())));
        Ok(found)
    }

    /// Remembers a version that was just made.
    pub fn remember(&self, version: Version) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(version.at.clone(), version);
    }
}

/// A version as it came back from AWS.
pub fn version(version: &LaunchTemplateVersion) -> Option<Version> {
    let data = version.launch_template_data();
    let image = data.and_then(|data| data.image_id());
    Some(Version {
        at: TemplateVersion {
            template: version.launch_template_id()?.to_owned(),
            number: version.version_number()?,
        },
        description: description::read(version.version_description()),
        image: image.and_then(|image| image.parse().ok()),
        user_data: data.and_then(|data| data.user_data()).map(str::to_owned),
    })
}
