//! Who may start a deployment: closed by default, and every refusal explains itself.
//!
//! Invariant: [`Admitted`] can only be made by [`admit`], and the store begins a deployment only for
//! an `Admitted`. Nobody deploys around governance.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Account, Environment, EnvironmentType, Freeze, Prometheus, ServerGroup, Service},
    image::ImageState,
    names::{DeploymentId, Place, Version},
    observation::Observation,
    plan::{self, Capacity, Roles, Strategy},
    release::{Content, ImageId, Launch, Release},
    time::UnixMs,
};

mod aws;
mod objection;
mod strategy;
mod whereabouts;

pub use objection::Objection;

/// A person's hold on an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who.
    pub by: String,
    /// Since when.
    pub since: UnixMs,
    /// Why, in their words.
    pub reason: String,
}

/// What somebody wants to deploy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which service, where.
    pub place: Place,
    /// Which release.
    pub version: Version,
    /// How.
    pub strategy: Strategy,
    /// Also when it is live already.
    pub force: bool,
    /// Start its package on this machine image. `None`: on the one that is live, or the group's.
    pub image: Option<ImageId>,
}

/// All that the rules look at, read in one go.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The service, if it is in the catalogue.
    pub service: Option<Service>,
    /// The environment, if it is in the catalogue.
    pub environment: Option<Environment>,
    /// The type of the environment.
    pub environment_type: Option<EnvironmentType>,
    /// The server group of the service there.
    pub group: Option<ServerGroup>,
    /// The account that the group is in, if the group names one that is in the catalogue.
    pub account: Option<Account>,
    /// The release, if it exists.
    pub release: Option<Release>,
    /// What became of its artifact.
    pub artifact: Artifact,
    /// The hold on the environment, if there is one.
    pub lock: Option<Lock>,
    /// The time at which all this was read.
    pub now: UnixMs,
    /// Every freeze that names the environment or its type, whether or not it is its time.
    pub freezes: Vec<Freeze>,
    /// The deployment of this service that runs there now.
    pub running: Option<DeploymentId>,
    /// What is live there.
    pub live: Option<Launch>,
    /// What is seen of the group now.
    pub seen: Observation,
    /// How the machine image stands that would be started ([`Facts::image_of`]), if anybody was asked.
    pub image: Option<ImageState>,
    /// Every Prometheus of the catalogue.
    pub prometheuses: Vec<Prometheus>,
    /// Instances of all *other* groups of the environment, their running deployments' surge
    /// included.
    pub environment_instances: u32,
}

impl Facts {
    /// The machine image that `wish` would start, where Pointsman and not the group says which.
    #[must_use]
    pub fn image_of<'a>(&'a self, wish: &'a Wish) -> Option<&'a ImageId> {
        let home = self.group.as_ref()?.home();
        if !home.abilities().has_images {
            return None;
        }
        let content = &self.release.as_ref()?.content;
        let next = Roles::of(&wish.strategy, stable_version(self), &self.seen).next;
        let made_on = || {
            // A group that exists starts what its own settings say.
            let made = !self.seen.slices.contains_key(&next);
            home.base_image().filter(|_| made)
        };
        let chosen = wish.image.as_ref().or_else(|| patched(stable(self)?));
        (wish.strategy != Strategy::Switch)
            .then(|| content.image().or(chosen).or_else(made_on))
            .flatten()
    }
}

/// The image that packages are started on since somebody asked for it.
fn patched(live: &Launch) -> Option<&ImageId> {
    live.content.digest().and(live.content.image())
}

/// Whether the stored artifact of a release is still what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Artifact {
    /// It was hashed again, and the digest is the same.
    Intact,
    /// It was hashed again, and the digest differs.
    Changed,
    /// It is not there.
    #[default]
    Missing,
}

/// A wish that the rules allow, with what they saw.
#[derive(Debug, Clone)]
pub struct Admitted {
    wish: Wish,
    group: ServerGroup,
    account: Option<Account>,
    release: Release,
    live: Option<Launch>,
    seen: Observation,
}

impl Admitted {
    /// What was wished for.
    #[must_use]
    pub fn wish(&self) -> &Wish {
        &self.wish
    }
    /// The server group's settings.
    #[must_use]
    pub fn group(&self) -> &ServerGroup {
        &self.group
    }
    /// The account that the group is in.
    #[must_use]
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }
    /// The release.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }
    /// What was seen of the group.
    #[must_use]
    pub fn seen(&self) -> &Observation {
        &self.seen
    }
    /// The numbers that the deployment is planned for.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        capacity(
            &self.wish.strategy,
            &self.group,
            self.live_version(),
            &self.seen,
        )
    }
    /// What is live, and comes back when the deployment fails: what a deployment made live, or what
    /// an adopted group runs.
    #[must_use]
    pub fn stable(&self) -> Option<&Launch> {
        self.live.as_ref()
    }
    fn live_version(&self) -> Option<&Version> {
        self.live.as_ref().map(|live| &live.version)
    }
    /// What new instances run: the release, and if it is a package, on which machine image. An image
    /// that was patched in stays until another one is asked for.
    #[must_use]
    pub fn content(&self) -> Content {
        let release = self.release.content.clone();
        let patched = || patched(self.live.as_ref()?);
        match self.wish.image.as_ref().or_else(patched) {
            Some(image) => release.on(image.clone()),
            None => release,
        }
    }
    /// What users are switched to: the launch that the other slice runs.
    #[must_use]
    pub fn switches_to(&self) -> Option<&Launch> {
        let strategy = &self.wish.strategy;
        let slice = Roles::of(strategy, self.live_version(), &self.seen).next;
        let other = self.seen.slices.get(&slice)?;
        other
            .launches
            .as_ref()
            .filter(|_| *strategy == Strategy::Switch)
    }
    /// Most instances of the whole group at once.
    #[must_use]
    pub fn peak(&self) -> u32 {
        let capacity = self.capacity();
        if capacity.current == 0 {
            capacity.asked
        } else {
            plan::peak(&self.wish.strategy, capacity)
        }
    }
}

/// Says yes, or every reason why not, all at once.
///
/// # Errors
/// Each objection that the facts give rise to, in the order of the rules below.
pub fn admit(wish: Wish, facts: Facts) -> Result<Admitted, Vec<Objection>> {
    let wish = strategy::complete(wish, &facts);
    let mut objections = Vec::new();
    objections.extend(catalogue(&wish, &facts));
    objections.extend(release(&wish, &facts));
    objections.extend(whereabouts::faults(&wish, &facts));
    objections.extend(moment(&wish, &facts));
    objections.extend(strategy::numbers(&wish.strategy));
    objections.extend(strategy::gates(&wish.strategy, &facts));
    objections.extend(strategy::slices(&wish, &facts));
    objections.extend(room(&wish, &facts));
    let live = stable(&facts).cloned();
    match (facts.group, facts.release) {
        (Some(group), Some(release)) if objections.is_empty() => Ok(Admitted {
            wish,
            group,
            account: facts.account,
            release,
            live,
            seen: facts.seen,
        }),
        _ => Err(objections),
    }
}

/// What is live by a deployment, or else what an adopted group runs in the slice with most users.
fn stable(facts: &Facts) -> Option<&Launch> {
    let adopted = || {
        let home = facts.group.as_ref()?.home();
        home.abilities().adopts.then_some(())?;
        let slices = facts.seen.slices.iter();
        let running = slices.filter(|(_, seen)| seen.launches.is_some() && seen.sizes.desired > 0);
        let (_, seen) = running.max_by_key(|(slice, _)| facts.seen.weights.share(**slice))?;
        seen.launches.as_ref()
    };
    facts.live.as_ref().or_else(adopted)
}

fn stable_version(facts: &Facts) -> Option<&Version> {
    stable(facts).map(|live| &live.version)
}

/// The machine image that is asked for is the one that is live.
fn same_image(wish: &Wish, live: &Launch) -> bool {
    let asked = wish.image.as_ref();
    asked.is_none() || asked == live.content.image()
}

/// It exists, and may go there this way.
fn catalogue(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let place = || wish.place.clone();
    let mut objections = Vec::new();
    if facts.service.is_none() {
        objections.push(Objection::ServiceUnknown { place: place() });
    }
    if facts.environment.is_none() {
        let environment = wish.place.environment.clone();
        objections.push(Objection::EnvironmentUnknown { environment });
    }
    let (Some(service), Some(environment)) = (&facts.service, &facts.environment) else {
        return objections;
    };
    let environment_type = environment.environment_type.clone();
    if !service.environment_types.contains(&environment_type) {
        let place = place();
        objections.push(Objection::EnvironmentTypeNotAllowed {
            place,
            environment_type,
        });
    }
    if facts.group.is_none() {
        objections.push(Objection::NoServerGroup { place: place() });
    }
    let strategy = wish.strategy.kind();
    if !service.strategies.contains(&strategy) {
        objections.push(Objection::StrategyNotAllowed {
            place: place(),
            strategy,
        });
    }
    objections
}

/// The release is there, in use and intact.
fn release(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let version = wish.version.clone();
    let Some(release) = &facts.release else {
        if facts.service.is_none() {
            return Vec::new();
        }
        return vec![Objection::ReleaseUnknown {
            place: wish.place.clone(),
            version,
        }];
    };
    let withdrawn = release
        .withdrawn
        .as_ref()
        .map(|w| Objection::ReleaseWithdrawn {
            version: version.clone(),
            by: w.by.clone(),
            why: w.reason.clone(),
        });
    let artifact = match facts.artifact {
        Artifact::Intact => None,
        Artifact::Changed => Some(Objection::ArtifactChanged { version }),
        Artifact::Missing => Some(Objection::ArtifactMissing { version }),
    };
    withdrawn.into_iter().chain(artifact).collect()
}

/// Now is a good moment.
fn moment(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let place = || wish.place.clone();
    let locked = facts
        .lock
        .as_ref()
        .map(|lock| Objection::EnvironmentLocked {
            environment: wish.place.environment.clone(),
            by: lock.by.clone(),
            why: lock.reason.clone(),
        });
    let running = facts
        .running
        .as_ref()
        .map(|running| Objection::AlreadyRunning {
            place: place(),
            running: running.clone(),
        });
    let live = facts
        .live
        .as_ref()
        .filter(|live| live.version == wish.version && same_image(wish, live))
        .filter(|_| !wish.force && wish.strategy != Strategy::Switch)
        .map(|live| Objection::AlreadyLive {
            place: place(),
            version: live.version.clone(),
        });
    let frozen = facts.environment.iter();
    let frozen = frozen.flat_map(|environment| frozen_by(environment, facts));
    let locked = locked.into_iter().chain(frozen);
    locked.chain(running).chain(live).collect()
}

/// Every freeze that covers `environment` now.
fn frozen_by(environment: &Environment, facts: &Facts) -> impl Iterator<Item = Objection> {
    let covers = |freeze: &&Freeze| freeze.covers(environment, facts.now);
    let objection = |freeze: &Freeze| Objection::EnvironmentFrozen {
        environment: environment.name.clone(),
        freeze: freeze.name.clone(),
        why: freeze.reason.clone(),
        until: freeze.until,
    };
    facts.freezes.iter().filter(covers).map(objection)
}

/// The group and the environment have room for the new instances beside the old ones.
fn room(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let (Some(group), Some(environment)) = (&facts.group, &facts.environment) else {
        return Vec::new();
    };
    let capacity = capacity(&wish.strategy, group, stable_version(facts), &facts.seen);
    let base = capacity.asked.max(capacity.current);
    let peak = if capacity.current == 0 {
        base
    } else {
        plan::peak(&wish.strategy, capacity)
    };
    let mut objections = Vec::new();
    let shares_a_slice = !wish.strategy.needs_two_slices();
    if shares_a_slice && capacity.current > 0 && !plan::has_room(&wish.strategy, capacity) {
        let (place, limit) = (wish.place.clone(), capacity.limit);
        objections.push(Objection::NoRoom {
            place,
            size: base,
            limit,
        });
    }
    let needed = facts.environment_instances.saturating_add(peak);
    if let Some(limit) = environment.capacity_limit.filter(|limit| needed > *limit) {
        let environment = environment.name.clone();
        objections.push(Objection::CapacityLimit {
            environment,
            needed,
            limit,
        });
    }
    objections
}

/// The numbers of a group as it is seen, for a deployment by `strategy`.
fn capacity(
    strategy: &Strategy,
    group: &ServerGroup,
    live: Option<&Version>,
    seen: &Observation,
) -> Capacity {
    let live = Roles::of(strategy, live, seen).live;
    Capacity::of(group, seen.slice(live).sizes.desired)
}

#[cfg(test)]
mod tests;
