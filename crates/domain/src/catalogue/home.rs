//! Where the instances of a server group are, and what a changed manifest leaves behind there.

use std::fmt;

use super::{ServerGroup, index};
use crate::{names::AccountName, observation::Slice};

/// Where instances of a server group are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// On this machine, which knows every slice that was ever used.
    Here,
    /// In an Auto Scaling group.
    Aws {
        /// The account that the group is in.
        account: AccountName,
        /// Its name.
        group: String,
    },
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("the one-machine cloud"),
            Self::Aws { account, group } => {
                write!(f, "the Auto Scaling group {group} of the account {account}")
            }
        }
    }
}

impl ServerGroup {
    /// The homes that the manifest `after` does not name any more.
    #[must_use]
    pub fn left_behind(&self, after: &Self) -> Vec<Home> {
        let kept = after.homes();
        let homes = self.homes().into_iter();
        homes.filter(|home| !kept.contains(home)).collect()
    }

    fn homes(&self) -> Vec<Home> {
        let Some(aws) = &self.aws else {
            return vec![Home::Here];
        };
        let slices = [Slice::Blue, Slice::Green].into_iter();
        let slices = slices.filter(|slice| index(*slice) < usize::from(self.slices));
        let home = |slice| Home::Aws {
            account: aws.account.clone(),
            group: aws.group_name(&self.place(), slice),
        };
        slices.map(home).collect()
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
        let left = |before: &ServerGroup, after: &ServerGroup| {
            let homes = before.left_behind(after).into_iter();
            homes.map(|home| home.to_string()).collect::<Vec<_>>()
        };
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
