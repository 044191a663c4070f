//! Accounts: where providers are reached, and as whom.

use serde::{Deserialize, Serialize};

use super::{manifest::Entry, rules};
use crate::{bounds::Faults, names::AccountName};

/// Where a provider is reached, and as whom. Credentials are never part of it: they come from the
/// environment of the server (variables, profile, instance role).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Unique name.
    pub name: AccountName,
    /// What runs there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which kind of place it is.
    pub provider: ProviderKind,
    /// AWS: the region, such as `eu-west-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// AWS: the role to assume there. `None`: as the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// AWS: the external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// AWS: another endpoint for every service: a VPC endpoint, an emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// AWS: the S3 bucket that packages are kept in for the instances to fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_bucket: Option<String>,
}

/// The kinds of places that instances run at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// The one-machine cloud.
    Local,
    /// Amazon Web Services.
    Aws,
}

impl Account {
    /// An account of AWS.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        self.provider == ProviderKind::Aws
    }
}

impl Entry for Account {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.text("description", &self.description);
        rules::aws::account(self, faults);
    }
}
