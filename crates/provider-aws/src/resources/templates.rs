//! Versions of launch templates: what instances were launched from.
//!
//! Invariant: a version never changes, so it need not be read twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use aws_sdk_ec2::types::LaunchTemplateVersion;
use domain::release::{ImageId, Launch, LaunchId};
use engine::ports::ProviderError;

use crate::{
    calls::{call::DESCRIBE_LAUNCH_TEMPLATE_VERSIONS, clients::Clients},
    resources::{
        description::{self, Description},
        groups::TemplateVersion,
    },
};

/// Most versions that are remembered. Beyond that all are forgotten.
const REMEMBERED_MAX: usize = 20_000;
/// Most versions that are asked for in one call.
const VERSIONS_MAX: usize = 200;

/// A version of a launch template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its template and number.
    pub at: TemplateVersion,
    /// What its description says it is for.
    pub description: Description,
    /// Its image.
    pub image: Option<ImageId>,
    /// The user data as AWS keeps it, in base 64.
    pub user_data: Option<String>,
}

impl Version {
    /// The launch that its instances run; `None`: machines without a release.
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

    /// The launch id by which its instances are counted.
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
            let request = clients.ec2.describe_launch_template_versions();
            let request = request.launch_template_id(template);
            let request = request.set_versions(numbers.clone()).set_next_token(next);
            let page = clients
                .make(&DESCRIBE_LAUNCH_TEMPLATE_VERSIONS, request.send())
                .await?;
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

    /// Remembers a version that was just created.
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
