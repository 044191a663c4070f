//! The rule about AWS's own settings.

use super::{Facts, Objection, Wish};
use crate::{catalogue::Home, release::Content};

/// A package needs a bucket that instances can fetch it from.
pub(super) fn package_bucket(wish: &Wish, facts: &Facts, home: Home) -> Option<Objection> {
    let Home::Aws(_) = home else {
        return None;
    };
    let account = facts.account.as_ref()?;
    let content = &facts.release.as_ref()?.content;
    let lacking = matches!(content, Content::Package { .. }) && account.package_bucket.is_none();
    let place = wish.place.clone();
    lacking.then_some(Objection::NoPackageBucket { place })
}
