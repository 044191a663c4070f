//! Passes: signed words that let a tester into one slice of one place, for a time.
//!
//! Invariant: who got a pass for what is in the audit log; the pass itself is nowhere but in the
//! answer.

use domain::{
    access::{Resource, Right},
    names::Place,
    slice::Slice,
};
use engine::ports::ErrorKind;
use serde_json::json;

use super::{Desk, Error, cloud::Pass, error::Fault};

/// Longest life of a pass, in seconds: a week.
pub const SECONDS_MAX: u32 = 604_800;

impl Desk {
    /// A pass to `slice` of a place, or to the slice without users when none is named.
    ///
    /// # Errors
    /// [`Error::Unknown`] place; [`Error::Invalid`] time; [`Error::NoPasses`] where the provider
    /// gives none; [`Error::Provider`] when it does not answer.
    pub async fn pass(
        &self,
        place: &Place,
        slice: Option<Slice>,
        seconds: u32,
    ) -> Result<Pass, Error> {
        let permit = self.may(Right::Deploy, Resource::Place(place)).await?;
        permit.known(place).await?;
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return Err(Error::Invalid {
                what: "the pass",
                faults: vec![Fault::of("seconds", format!("between 1 and {SECONDS_MAX}"))],
            });
        }
        let target = permit.target(place).await?.ok_or_else(|| Error::NoPasses {
            why: "no server group is there".to_owned(),
        })?;
        let slice = match slice {
            Some(slice) => slice,
            None => permit.slices(place.clone()).await?.next(),
        };
        let provider = target.group.home().provider();
        let pass = permit
            .clouds()
            .call(provider, |it| it.pass(&target, slice, seconds));
        let pass = pass.await.map_err(|error| match error.kind {
            ErrorKind::Missing | ErrorKind::NotOffered => Error::NoPasses { why: error.message },
            _ => Error::Provider(error),
        })?;
        let detail = json!({ "slice": slice, "seconds": seconds });
        let subject = format!("place/{place}");
        let audit = permit.audit("pass.create", &subject, detail);
        permit.store().note(audit).await?;
        Ok(pass)
    }
}
