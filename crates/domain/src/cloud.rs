//! The cloud that something lives in, and what a server drives of all clouds.

use std::{fmt, str::FromStr};

use crate::{catalogue::ProviderKind, effect::Target};

/// The name of a cloud: `local`, `aws/ACCOUNT/REGION`, or `custom/ACCOUNT`. Accounts are those of the
/// catalogue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CloudName(String);

/// What a server drives deployments in: every cloud of a kind of provider, or one cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drives {
    /// Every cloud of this kind of provider.
    Every(ProviderKind),
    /// This cloud alone.
    Only(CloudName),
}

/// An account on AWS in its region, written `ACCOUNT/REGION`, such as `main/eu-west-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsAccount(CloudName);

/// Why a text is no account in a region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an account in a region: write both, such as main/eu-west-1")]
pub struct NoAwsAccount {
    text: String,
}

impl CloudName {
    fn of(provider: ProviderKind, account: Option<&str>, region: Option<&str>) -> Self {
        let parts = [Some(provider.as_str()), account, region];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        Self(parts.join("/"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Target {
    /// The cloud that it lives in.
    #[must_use]
    pub fn cloud(&self) -> CloudName {
        let home = self.group.home();
        let account = home.account().map(|name| name.as_str());
        let region = self.account.as_ref().and_then(|it| it.region.as_deref());
        CloudName::of(home.provider(), account, region)
    }
}

impl AwsAccount {
    /// The cloud that it is.
    #[must_use]
    pub fn cloud(self) -> CloudName {
        self.0
    }
}

impl FromStr for AwsAccount {
    type Err = NoAwsAccount;
    fn from_str(text: &str) -> Result<Self, NoAwsAccount> {
        let wrong = || NoAwsAccount {
            text: text.to_owned(),
        };
        let (account, region) = text.split_once('/').ok_or_else(wrong)?;
        let account: crate::names::AccountName = account.parse().map_err(|_| wrong())?;
        let of_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(of_region) {
            return Err(wrong());
        }
        let name = CloudName::of(ProviderKind::Aws, Some(account.as_str()), Some(region));
        Ok(Self(name))
    }
}

impl Drives {
    /// What is driven as text: the name of a cloud, or the kind of its provider.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Every(kind) => kind.as_str(),
            Self::Only(cloud) => cloud.as_str(),
        }
    }
}

impl fmt::Display for CloudName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{Account, AwsGroup, AwsTraffic, ServerGroup},
        names::Place,
    };

    #[test]
    fn a_target_names_the_cloud_that_it_lives_in() {
        let place: Place = Place {
            service: "cart".parse().unwrap(),
            environment: "live".parse().unwrap(),
        };
        let here = ServerGroup::new(place.clone());
        let there = ServerGroup {
            aws: Some(AwsGroup {
                account: "main".parse().unwrap(),
                groups: Vec::new(),
                target_groups: Vec::new(),
                create: None,
                traffic: AwsTraffic::Group,
                user_data: None,
            }),
            ..here.clone()
        };
        let text = r#"{"name": "main", "provider": "aws", "region": "eu-west-1"}"#;
        let account: Account = serde_json::from_str(text).unwrap();
        let local = Target::local(place.clone(), here).cloud();
        assert_eq!(local.as_str(), "local");
        let aws = Target::new(place, there, Some(account)).cloud();
        assert_eq!(aws.as_str(), "aws/main/eu-west-1");
        let typed: AwsAccount = "main/eu-west-1".parse().unwrap();
        assert_eq!(typed.cloud(), aws);
    }

    #[test]
    fn an_account_is_reached_in_its_region() {
        for wrong in [
            "",
            "main",
            "main/",
            "/eu-west-1",
            "main/eu,west",
            "a b/eu-1",
        ] {
            let refused = wrong.parse::<AwsAccount>().unwrap_err();
            assert!(
                refused.to_string().contains("write both, such as"),
                "{refused}"
            );
        }
    }
}
