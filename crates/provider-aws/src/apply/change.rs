//! What every change to a server group needs.

use domain::{catalogue::AwsGroup, effect::Target, slice::Slice};
use engine::ports::ProviderError;

use crate::{account::AwsAccount, apply::packages::Packages, server_group};

/// A change to a server group that is about to be made.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The account that the group is in.
    pub account: &'a AwsAccount,
    /// Where packages are until they are in S3.
    pub packages: &'a Packages,
    /// The server group.
    pub target: &'a Target,
    /// Its AWS settings.
    pub aws: &'a AwsGroup,
}

impl<'a> Change<'a> {
    /// A change to `target`.
    ///
    /// # Errors
    /// When the server group has no settings for AWS.
    pub fn new(
        account: &'a AwsAccount,
        packages: &'a Packages,
        target: &'a Target,
    ) -> Result<Self, ProviderError> {
        Ok(Self {
            account,
            packages,
            target,
            aws: server_group::settings(target)?,
        })
    }

    /// The name of the Auto Scaling group of `slice`.
    pub fn group_name(&self, slice: Slice) -> String {
        self.aws.group_name(&self.target.place, slice)
    }
}
