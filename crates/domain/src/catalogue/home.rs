//! Where the instances of a server group live, and what a changed manifest leaves behind there.
//!
//! Everything that rules and plans want to know of a place is asked here or of its
//! [`Abilities`](super::Abilities). A new kind of place is a variant of [`Home`] and of
//! [`ProviderKind`]; the compiler then asks for each answer.

use super::{AwsGroup, CustomGroup, ProviderKind, ServerGroup, index};
use crate::{names::AccountName, release::ImageId, slice::Slice};

/// Where the instances of a server group live, with the settings of that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home<'a> {
    /// On the server's own machine, which knows every slice that was ever used.
    Here,
    /// In Auto Scaling groups on AWS.
    Aws(&'a AwsGroup),
    /// With a provider of your own.
    Custom(&'a CustomGroup),
}

impl<'a> Home<'a> {
    /// The provider that looks after it.
    #[must_use]
    pub fn provider(self) -> ProviderKind {
        match self {
            Self::Here => ProviderKind::Local,
            Self::Aws(_) => ProviderKind::Aws,
            Self::Custom(_) => ProviderKind::Custom,
        }
    }

    /// The account that it is in, with the field of the manifest that names it.
    #[must_use]
    pub fn named_account(self) -> Option<(&'static str, &'a AccountName)> {
        match self {
            Self::Here => None,
            Self::Aws(aws) => Some(("aws.account", &aws.account)),
            Self::Custom(custom) => Some(("custom.account", &custom.account)),
        }
    }

    /// The account that it is in.
    #[must_use]
    pub fn account(self) -> Option<&'a AccountName> {
        self.named_account().map(|(_, account)| account)
    }

    /// The machine image that packages are started on where Pointsman makes the group.
    #[must_use]
    pub fn base_image(self) -> Option<&'a ImageId> {
        match self {
            Self::Here | Self::Custom(_) => None,
            Self::Aws(aws) => aws.create.as_ref().map(|create| &create.image),
        }
    }
}

impl ServerGroup {
    /// Where its instances live.
    #[must_use]
    pub fn home(&self) -> Home<'_> {
        match (&self.aws, &self.custom) {
            (Some(aws), _) => Home::Aws(aws),
            (None, Some(custom)) => Home::Custom(custom),
            (None, None) => Home::Here,
        }
    }

    /// Names of the places where instances of this group are and that the manifest `after` does not
    /// name any more.
    #[must_use]
    pub fn left_behind(&self, after: &Self) -> Vec<String> {
        let kept = after.places();
        let places = self.places().into_iter();
        places.filter(|place| !kept.contains(place)).collect()
    }

    fn places(&self) -> Vec<String> {
        match self.home() {
            Home::Here => vec!["the one-machine cloud".to_owned()],
            Home::Custom(custom) => vec![format!("the account {}", custom.account)],
            Home::Aws(aws) => [Slice::Blue, Slice::Green]
                .into_iter()
                .filter(|slice| index(*slice) < usize::from(self.slices))
                .map(|slice| {
                    let group = aws.group_name(&self.place(), slice);
                    format!(
                        "the Auto Scaling group {group} of the account {}",
                        aws.account
                    )
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{AwsGroup, AwsTraffic},
        names::Place,
    };

    fn group(slices: u8, aws: Option<(&str, &[&str])>) -> ServerGroup {
        let aws = aws.map(|(account, groups)| AwsGroup {
            account: account.parse().unwrap(),
            groups: groups.iter().map(ToString::to_string).collect(),
            target_groups: Vec::new(),
            create: None,
            traffic: AwsTraffic::Group,
            user_data: None,
        });
        ServerGroup {
            slices,
            aws,
            ..ServerGroup::new(Place {
                service: "cart".parse().unwrap(),
                environment: "live".parse().unwrap(),
            })
        }
    }

    #[test]
    fn what_is_named_no_more_is_left_behind() {
        let left = ServerGroup::left_behind;
        let here = group(2, None);
        let there = group(1, Some(("main", &[])));
        let named = group(2, Some(("main", &["cart-live-blue", "new"])));
        let elsewhere = group(1, Some(("other", &[])));
        let blue = "the Auto Scaling group cart-live-blue of the account main";
        let nothing: [&str; 0] = [];
        assert_eq!(left(&here, &here), nothing);
        assert_eq!(left(&here, &there), ["the one-machine cloud"]);
        assert_eq!(left(&here, &group(1, None)), nothing);
        assert_eq!(left(&there, &named), nothing, "the same group by its name");
        assert_eq!(
            left(&named, &there),
            ["the Auto Scaling group new of the account main"]
        );
        assert_eq!(left(&there, &elsewhere), [blue]);
    }
}
