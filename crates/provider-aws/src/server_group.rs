//! A server group on AWS: its settings, its slices, and the names of their Auto Scaling groups.

use domain::{catalogue::AwsGroup, effect::Target, slice::Slice};
use engine::ports::ProviderError;

use crate::calls::errors::invalid;

/// Both slices, blue first.
pub const SLICES: [Slice; 2] = [Slice::Blue, Slice::Green];

/// The AWS settings of a server group.
///
/// # Errors
/// When its manifest has none.
pub fn settings(target: &Target) -> Result<&AwsGroup, ProviderError> {
    let settings = target.group.aws.as_ref();
    settings.ok_or_else(|| {
        invalid(format!(
            "the manifest of the server group {} has no settings for AWS",
            target.place
        ))
    })
}

/// The slices that a server group has.
pub fn slices(target: &Target) -> impl Iterator<Item = Slice> + use<> {
    SLICES.into_iter().take(usize::from(target.group.slices))
}

/// The Auto Scaling groups of a server group, by slice.
pub fn group_names(target: &Target, settings: &AwsGroup) -> impl Iterator<Item = (Slice, String)> {
    slices(target).map(|slice| (slice, settings.group_name(&target.place, slice)))
}
