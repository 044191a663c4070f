//! The rule about AWS's own settings.

use super::{Facts, Objection, Wish};
use crate::release::Content;

/// A package needs a bucket that instances can fetch it from.
pub(super) fn package_bucket(wish: &Wish, facts: &Facts) -> Option<Objection> {
    let account = facts.account.as_ref()?;
    let content = &facts.release.as_ref()?.content;
    let lacking = matches!(content, Content::Package { .. }) && account.package_bucket.is_none();
    let place = wish.place.clone();
    lacking.then_some(Objection::NoPackageBucket { place })
}
