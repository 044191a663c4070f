//! Rolling back a place: a deployment that runs there turns round; otherwise the release before the
//! live one is deployed, by the quickest way there is.
//!
//! ```text
//! the other slice runs it, healthy    switch        seconds: one change of weights
//! there is another slice              blue-green    all at once, without gates or waiting
//! one slice                           scale-up, or else instance-refresh, without a bake
//! ```

use domain::{
    access::{Resource, Right, Visible},
    catalogue::{Kind, ServerGroup, Service},
    deployment::{Command, Deployment, Outcome},
    governance::Wish,
    live::Live,
    names::{Place, Version},
    observation::Observation,
    plan::{
        Capacity, Roles, Strategy, instance_refresh::InstanceRefresh, scale_up::ScaleUp,
        two_slices::TwoSlices,
    },
    preview::Preview,
    release::{Content, ImageId, Launch},
};
use store::deployments::Filter;

use crate::{Desk, Error, Operations, catalogue::unknown};

/// So many deployments of the place are looked through for the release before the live one.
const HISTORY_MAX: u32 = 200;

/// What came of rolling back a place.
#[derive(Debug, Clone)]
pub struct RolledBack {
    /// The deployment that turns round, or the new one.
    pub deployment: Deployment,
    /// What the new one is expected to do; `None` for one that turns round.
    pub preview: Option<Preview>,
}

impl Desk {
    /// Rolls back whatever was deployed last to `place`.
    ///
    /// # Errors
    /// [`Error::NothingBefore`] the live release; and those of [`Desk::command`] and
    /// [`Desk::request`].
    pub async fn roll_back(&self, place: &Place, reason: &str) -> Result<RolledBack, Error> {
        let permit = self.may(Right::RollBack, Resource::Place(place)).await?;
        permit.known(place).await?;
        if let Some(running) = permit.running(place).await? {
            let reason = reason.to_owned();
            let command = Command::RollBack { reason };
            match permit.command(&running.id, command, None).await {
                // It ended between the two looks: go on as if it had never been seen.
                Err(Error::Command(domain::deployment::CommandRefused::Finished)) => {}
                other => {
                    return Ok(RolledBack {
                        deployment: other?,
                        preview: None,
                    });
                }
            }
        }
        let (version, image) = permit.before(place).await?;
        let wish = Wish {
            place: place.clone(),
            strategy: permit.way_back(place, &version).await?,
            version,
            force: false,
            image,
        };
        let begun = permit.request(wish, Some(reason), None).await?;
        Ok(RolledBack {
            deployment: begun.deployment,
            preview: Some(begun.preview),
        })
    }
}

impl Operations {
    /// The quickest way to `version` that the service may be deployed with. Users may be suffering,
    /// and this release has proven itself: no bake, no gates, no waiting.
    async fn way_back(&self, place: &Place, version: &Version) -> Result<Strategy, Error> {
        let scale_up = Strategy::ScaleUp(ScaleUp {
            bake_seconds: 0,
            ..ScaleUp::default()
        });
        let refresh = Strategy::InstanceRefresh(InstanceRefresh {
            bake_seconds: 0,
            ..InstanceRefresh::default()
        });
        let mut ways = self.ways_between_slices(place, version).await?;
        ways.extend([scale_up, refresh]);
        let entry = self.entry(Kind::Service, place.service.as_str()).await?;
        let service: Service = serde_json::from_value(entry.body).map_err(|_| Error::Internal {
            doing: "reading a service of the catalogue",
        })?;
        let allowed = |way: &Strategy| service.strategies.contains(&way.kind());
        // Where none is allowed, governance says so of the best one.
        let best = ways.iter().position(allowed).unwrap_or(0);
        Ok(ways.swap_remove(best))
    }

    /// The ways that only a group with two slices has, the quickest first.
    async fn ways_between_slices(
        &self,
        place: &Place,
        version: &Version,
    ) -> Result<Vec<Strategy>, Error> {
        let target = self.target(place).await?;
        let Some(target) = target.filter(|target| target.group.slices > 1) else {
            return Ok(Vec::new());
        };
        let seen = self.observe(&target).await?;
        let live = self.store().live(place).await?;
        let live = live.map(|live| live.launch.version);
        let blue_green = Strategy::BlueGreen(TwoSlices {
            gates: Some(Vec::new()),
            warm_seconds: 0,
            ..TwoSlices::default()
        });
        let switch =
            runs_beside(version, live.as_ref(), &target.group, &seen).then_some(Strategy::Switch);
        Ok(switch.into_iter().chain([blue_green]).collect())
    }

    /// The service and the environment are in the catalogue.
    pub(crate) async fn known(&self, place: &Place) -> Result<(), Error> {
        let (service, environment) = (place.service.as_str(), place.environment.as_str());
        for (kind, name) in [(Kind::Service, service), (Kind::Environment, environment)] {
            if self.store().entry(kind, name).await?.is_none() {
                return Err(unknown(kind, name));
            }
        }
        Ok(())
    }

    /// The deployment that runs at a place.
    pub(crate) async fn running(&self, place: &Place) -> Result<Option<Deployment>, Error> {
        let (all, there) = (Visible::everything(), at(place, true));
        let mut running = self.store().deployments(&there, &all, None, 1).await?;
        Ok(running.pop())
    }

    /// What was live before the live release: another version, also when the live one was deployed
    /// anew with `force`; or the same one on the machine image from before it was patched.
    async fn before(&self, place: &Place) -> Result<(Version, Option<ImageId>), Error> {
        let nothing = || Error::NothingBefore {
            place: place.clone(),
        };
        let Some(Live {
            launch, previous, ..
        }) = self.store().live(place).await?
        else {
            return Err(nothing());
        };
        let other = |version: &Version| *version != launch.version;
        if let Some(previous) = previous {
            if other(&previous.version) {
                return Ok((previous.version, None));
            }
            let target = self.target(place).await?;
            let made_on = || target?.group.home().base_image().cloned();
            let image = image(&previous).or_else(made_on);
            if image.is_some() && image.as_ref() != self::image(&launch).as_ref() {
                return Ok((previous.version, image));
            }
        }
        let (all, there) = (Visible::everything(), at(place, false));
        let history = self.store().deployments(&there, &all, None, HISTORY_MAX);
        history
            .await?
            .into_iter()
            .filter(succeeded)
            .map(|deployment| deployment.launch.version)
            .find(other)
            .map(|version| (version, None))
            .ok_or_else(nothing)
    }
}

/// The machine image that a package was started on, where the deployment named one.
fn image(launch: &Launch) -> Option<ImageId> {
    match &launch.content {
        Content::Package { image, .. } => image.clone(),
        Content::Image { .. } => None,
    }
}

/// The other slice runs `version`, with as many healthy instances as are needed.
fn runs_beside(
    version: &Version,
    live: Option<&Version>,
    group: &ServerGroup,
    seen: &Observation,
) -> bool {
    let roles = Roles::of(&Strategy::Switch, live, seen);
    let other = seen.slice(roles.next);
    let needed = Capacity::of(group, seen.slice(roles.live).sizes.desired).asked;
    let launch = other.launches.as_ref().filter(|it| it.version == *version);
    launch.is_some_and(|launch| other.staying_of(&launch.id) >= needed.max(1))
}

fn at(place: &Place, unfinished: bool) -> Filter {
    Filter {
        service: Some(place.service.clone()),
        environment: Some(place.environment.clone()),
        unfinished,
        ..Filter::default()
    }
}

fn succeeded(deployment: &Deployment) -> bool {
    deployment
        .ending
        .as_ref()
        .is_some_and(|ending| ending.outcome == Outcome::Succeeded)
}
