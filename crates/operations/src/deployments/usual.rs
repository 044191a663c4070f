//! How a service is deployed when nobody says how, and whether it could be, place by place.

use domain::{
    access::{Resource, Right},
    catalogue::{Service, StrategyKind},
    governance::{Artifact, Objection, Wish},
    names::{EnvironmentName, Place, Version},
    plan::{Strategy, instance_refresh::InstanceRefresh, scale_up::ScaleUp, two_slices::TwoSlices},
};
use futures_util::{StreamExt, stream};

use crate::{Desk, Error, desk::Permit};

/// Places that are looked at at once.
const AT_ONCE: usize = 8;

/// The gentlest strategy that the service may be deployed with, with its usual numbers.
#[must_use]
pub fn usual_strategy(service: &Service) -> Strategy {
    let scale_up = || Strategy::ScaleUp(ScaleUp::default());
    let allowed = |kind| service.strategies.contains(&kind);
    match () {
        () if allowed(StrategyKind::ScaleUp) => scale_up(),
        () if allowed(StrategyKind::BlueGreen) => Strategy::BlueGreen(TwoSlices::default()),
        () if allowed(StrategyKind::Canary) => Strategy::Canary(TwoSlices::default()),
        () if allowed(StrategyKind::InstanceRefresh) => {
            Strategy::InstanceRefresh(InstanceRefresh::default())
        }
        // Governance says that nothing is allowed.
        () => scale_up(),
    }
}

/// Whether a release could be deployed to an environment now.
#[derive(Debug)]
pub struct Readiness {
    /// Where.
    pub environment: EnvironmentName,
    /// Everything that speaks against it; or why it is not known.
    pub objections: Result<Vec<Objection>, Error>,
}

impl Desk {
    /// What governance would say of a release of `service` in each of these environments, in the same order,
    /// deployed as it usually is. The artifact is checked once for all of them.
    ///
    /// # Errors
    /// [`Error::Unknown`] service.
    pub async fn readiness(
        &self,
        service: &Service,
        version: &Version,
        environments: &[EnvironmentName],
    ) -> Result<Vec<Readiness>, Error> {
        let permit = self
            .may(Right::View, Resource::Service(&service.name))
            .await?;
        let release = permit.store().release(&service.name, version).await?;
        let artifact = permit.artifact(release.as_ref()).await?;
        let wish = |environment: &EnvironmentName| Wish {
            place: Place {
                service: service.name.clone(),
                environment: environment.clone(),
            },
            version: version.clone(),
            strategy: usual_strategy(service),
            force: false,
            image: None,
        };
        let wishes: Vec<Wish> = environments.iter().map(wish).collect();
        let asked = stream::iter(wishes).map(|wish| permit.ready(wish, artifact));
        Ok(asked.buffered(AT_ONCE).collect().await)
    }
}

impl Permit {
    async fn ready(&self, wish: Wish, artifact: Artifact) -> Readiness {
        let environment = wish.place.environment.clone();
        let drafted = self.draft(wish, Some(artifact)).await;
        Readiness {
            environment,
            objections: drafted.map(|drafted| drafted.err().unwrap_or_default()),
        }
    }
}
