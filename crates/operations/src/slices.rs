//! The slices of a place, side by side: who has the users, what runs there, what routers counted.

use domain::{
    access::{Resource, Right},
    catalogue::Kind,
    deployment::Deployment,
    names::{Place, Version},
    observation::{Observation, SliceSeen},
    plan::{Roles, Strategy},
    slice::Slice,
    time::UnixMs,
    traffic::{Mirror, Mirrored, Traffic},
};

use super::{Desk, Error, Operations, catalogue::unknown};

/// The slices of a place at one moment.
#[derive(Debug, Clone)]
pub struct Slices {
    /// Which service, where.
    pub place: Place,
    /// When the provider answered.
    pub at: UnixMs,
    /// Each slice of the group, blue first.
    pub slices: Vec<SliceStatus>,
    /// The dark traffic that routers send.
    pub mirror: Option<Mirror>,
    /// What became of its copies.
    pub mirrored: Option<Mirrored>,
}

/// How one slice stands.
#[derive(Debug, Clone)]
pub struct SliceStatus {
    /// Which.
    pub slice: Slice,
    /// What it is there for.
    pub role: Role,
    /// Its share of the users, in percent.
    pub weight: u8,
    /// What runs there.
    pub seen: SliceSeen,
    /// What routers counted, where they count.
    pub traffic: Option<Traffic>,
}

/// What a slice is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It serves the release that is live, or was when the running deployment began.
    Live,
    /// The next release comes up here; without a deployment, what users can be switched to.
    Next,
}

impl Slices {
    /// The slice that a tester wants to see: where the next release comes up; with one slice, that.
    #[must_use]
    pub fn next(&self) -> Slice {
        let next = self.slices.iter().find(|slice| slice.role == Role::Next);
        next.map_or(Slice::Blue, |standing| standing.slice)
    }
}

impl Desk {
    /// The slices of a place.
    ///
    /// # Errors
    /// [`Error::Unknown`] service, environment or server group; [`Error::Provider`] when the group
    /// cannot be seen.
    pub async fn slices(&self, place: Place) -> Result<Slices, Error> {
        let permit = self.may(Right::View, Resource::Place(&place)).await?;
        permit.slices(place).await
    }
}

impl Operations {
    /// As [`Desk::slices`], for use cases that were checked.
    pub(crate) async fn slices(&self, place: Place) -> Result<Slices, Error> {
        self.known(&place).await?;
        let running = self.running(&place).await?;
        let target = match &running {
            Some(deployment) => Some(deployment.target.clone()),
            None => self.target(&place).await?,
        };
        let target = target.ok_or_else(|| unknown(Kind::ServerGroup, &place.to_string()))?;
        let seen = self.dated(self.observe(&target).await?);
        let live = self.store().live(&place).await?;
        let live = live.map(|live| live.launch.version);
        let roles = roles(running.as_ref(), live.as_ref(), &seen);
        let slices = [Slice::Blue, Slice::Green]
            .into_iter()
            .take(usize::from(target.group.slices))
            .map(|slice| standing(slice, roles, &seen))
            .collect();
        Ok(Slices {
            place,
            at: seen.at,
            slices,
            mirror: seen.mirror,
            mirrored: seen.mirrored,
        })
    }
}

/// A deployment that has begun says which slice is which; otherwise the users do.
fn roles(running: Option<&Deployment>, live: Option<&Version>, seen: &Observation) -> Roles {
    let decided = running.and_then(|deployment| Some(deployment.baseline.as_ref()?.roles));
    let apart = decided.filter(|roles| roles.are_apart());
    apart.unwrap_or_else(|| Roles::of(&Strategy::Switch, live, seen))
}

fn standing(slice: Slice, roles: Roles, seen: &Observation) -> SliceStatus {
    SliceStatus {
        slice,
        role: if slice == roles.live {
            Role::Live
        } else {
            Role::Next
        },
        weight: seen.weights.share(slice),
        seen: seen.slice(slice).clone(),
        traffic: seen.traffic.get(&slice).cloned(),
    }
}
