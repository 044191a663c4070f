//! Accounts: where providers are reached, and as whom.

use serde::{Deserialize, Serialize};

use super::{ProviderKind, manifest::Entry, rules};
use crate::{
    bounds::{Faults, Limit, Limited},
    names::AccountName,
};

/// Where a provider is reached, and as whom. Credentials are not part of it: they come from the
/// environment of the server (variables, profile, instance role).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Unique name of the account.
    pub name: AccountName,
    /// What runs in the account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which provider it is of: `local`, `aws`, or `custom` for a provider of your own.
    pub provider: ProviderKind,
    /// AWS, required there: the region, such as `eu-west-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// AWS: ARN of the role to assume. Left out: the identity of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// AWS: external id that the role requires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// AWS: endpoint of every service, such as a VPC endpoint or an emulator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// AWS: S3 bucket from which instances fetch packages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_bucket: Option<String>,
}

impl Account {
    /// An account of AWS.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        self.provider == ProviderKind::Aws
    }
}

impl Limited for Account {
    const LIMITS: &'static [Limit<Self>] = &[Limit::text("description", |it| &it.description)];
}

impl Entry for Account {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn faults(&self, faults: &mut Faults) {
        faults.limits("", self);
        rules::aws::account(self, faults);
    }
}
