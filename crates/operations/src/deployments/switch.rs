//! Switching a place: users are moved to what the other slice runs, by an ordinary deployment.

use domain::{
    access::{Resource, Right},
    governance::{Objection, Wish},
    names::{Place, Version},
    plan::{Roles, Strategy},
};

use super::Planned;
use crate::{Desk, Error, Operations};

impl Desk {
    /// Begins a deployment that moves the users of `place` to the other slice.
    ///
    /// # Errors
    /// [`Error::Refused`] with every objection, an empty slice among them; and those of
    /// [`Desk::request`].
    pub async fn switch(&self, place: &Place, reason: Option<&str>) -> Result<Planned, Error> {
        let permit = self.may(Right::Deploy, Resource::Place(place)).await?;
        permit.known(place).await?;
        let wish = Wish {
            place: place.clone(),
            version: permit.version_beside(place).await?,
            strategy: Strategy::Switch,
            force: false,
            image: None,
        };
        permit.request(wish, reason, None).await
    }
}

impl Operations {
    /// The version that the other slice runs; where it runs none, the live one, so that governance
    /// says what is wrong with the slice and nothing else.
    async fn version_beside(&self, place: &Place) -> Result<Version, Error> {
        let Some(live) = self.store().live(place).await? else {
            let place = place.clone();
            return Err(Error::Refused(vec![Objection::OtherSliceEmpty { place }]));
        };
        let Some(target) = self.target(place).await? else {
            return Ok(live.launch.version);
        };
        let seen = self.observe(&target).await?;
        let other = Roles::of(&Strategy::Switch, Some(&live.launch.version), &seen).next;
        let running = seen.slice(other).launches.clone();
        Ok(running.unwrap_or(live.launch).version)
    }
}
