//! Who may start a deployment: closed by default, and every refusal explains itself.
//!
//! Invariant: [`Admitted`] can only be made by [`admit`], and the store begins a deployment only for
//! an `Admitted`. Nobody deploys around governance.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Environment, EnvironmentType, ServerGroup, Service, StrategyKind},
    names::{DeploymentId, EnvironmentName, EnvironmentTypeName, Place, Version},
    plan::{Capacity, Strategy, scale_up},
    release::Release,
    time::UnixMs,
};

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
    /// The release, if it exists.
    pub release: Option<Release>,
    /// What became of its artifact.
    pub artifact: Artifact,
    /// The hold on the environment, if there is one.
    pub lock: Option<Lock>,
    /// The deployment of this service that runs there now.
    pub running: Option<DeploymentId>,
    /// The version that is live there.
    pub live: Option<Version>,
    /// How many instances the group keeps now.
    pub current: u32,
    /// Instances of all *other* groups of the environment, their running deployments' surge
    /// included.
    pub environment_instances: u32,
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
    release: Release,
    current: u32,
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
    /// The release.
    #[must_use]
    pub fn release(&self) -> &Release {
        &self.release
    }
    /// How many instances the group keeps now.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.current
    }
}

/// One reason why governance says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Objection {
    /// Not in the catalogue.
    #[error("the service {place} is not in the catalogue", place = .place.service)]
    ServiceUnknown {
        /// Which.
        place: Place,
    },
    /// Not in the catalogue.
    #[error("the environment {environment} is not in the catalogue")]
    EnvironmentUnknown {
        /// Which.
        environment: EnvironmentName,
    },
    /// The service may not go to environments of this type.
    #[error("{} may not be deployed to environments of type {environment_type}", .place.service)]
    EnvironmentTypeNotAllowed {
        /// Which service, where.
        place: Place,
        /// The type of that environment.
        environment_type: EnvironmentTypeName,
    },
    /// No capacity was set aside.
    #[error("{} has no server group in {}", .place.service, .place.environment)]
    NoServerGroup {
        /// Which service, where.
        place: Place,
    },
    /// No such release.
    #[error("{} has no release {version}", .place.service)]
    ReleaseUnknown {
        /// Which service.
        place: Place,
        /// Which version.
        version: Version,
    },
    /// Taken out of use.
    #[error("release {version} was withdrawn by {by}: {reason}")]
    ReleaseWithdrawn {
        /// Which version.
        version: Version,
        /// Who withdrew it.
        by: String,
        /// Why.
        reason: String,
    },
    /// The artifact is gone.
    #[error("the artifact of release {version} is not in the artifact store")]
    ArtifactMissing {
        /// Which version.
        version: Version,
    },
    /// The artifact is not what was stored.
    #[error("the stored artifact of release {version} does not match its digest any more")]
    ArtifactChanged {
        /// Which version.
        version: Version,
    },
    /// Held by a person.
    #[error("{environment} is locked by {by}: {reason}")]
    EnvironmentLocked {
        /// Which environment.
        environment: EnvironmentName,
        /// Who locked it.
        by: String,
        /// Why.
        reason: String,
    },
    /// One at a time.
    #[error("deployment {running} of {place} is running already")]
    AlreadyRunning {
        /// Which service, where.
        place: Place,
        /// The running one.
        running: DeploymentId,
    },
    /// Not this way.
    #[error("{} may not be deployed by {strategy}", .place.service)]
    StrategyNotAllowed {
        /// Which service.
        place: Place,
        /// The strategy asked for.
        strategy: StrategyKind,
    },
    /// Nothing would change.
    #[error("release {version} is live in {} already", .place.environment)]
    AlreadyLive {
        /// Which service, where.
        place: Place,
        /// The version.
        version: Version,
    },
    /// Doubling would need more than the environment may have.
    #[error("{environment} would run {needed} instances at the peak; its limit is {limit}")]
    CapacityLimit {
        /// Which environment.
        environment: EnvironmentName,
        /// Instances at the peak.
        needed: u32,
        /// Most that it may run.
        limit: u32,
    },
    /// The group's own limit leaves no room for one instance more.
    #[error(
        "the server group {place} has size {size} and a size limit of {limit}: there is no room to start one new instance"
    )]
    NoRoom {
        /// Which service, where.
        place: Place,
        /// How many there are, or shall be.
        size: u32,
        /// The limit.
        limit: u32,
    },
    /// A number of the strategy makes no sense.
    #[error("{field} must be {rule}")]
    StrategyInvalid {
        /// Which number.
        field: String,
        /// What it must be.
        rule: String,
    },
}

impl Objection {
    /// What would lift the objection: what to do or to type next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::ServiceUnknown { .. } => {
                "describe it in a manifest (kind: Service) and run `pointsman apply -f FILE`".into()
            }
            Self::EnvironmentUnknown { .. } => {
                "describe it in a manifest (kind: Environment) and run `pointsman apply -f FILE`; `pointsman environment list` shows what exists".into()
            }
            Self::EnvironmentTypeNotAllowed { place, environment_type } => format!(
                "its owner can add {environment_type} to environment_types of the service {}",
                place.service
            ),
            Self::NoServerGroup { .. } => {
                "describe one in a manifest (kind: ServerGroup) and run `pointsman apply -f FILE`".into()
            }
            Self::ReleaseUnknown { place, version } => format!(
                "run `pointsman release create {} {version} --artifact DIR`; `pointsman release list {}` shows what exists",
                place.service, place.service
            ),
            Self::ReleaseWithdrawn { .. } => "choose another release, or create a new version".into(),
            Self::ArtifactMissing { .. } => {
                "bring the artifact back from a backup, or upload the same content again with `pointsman release create`".into()
            }
            Self::ArtifactChanged { .. } => {
                "find out who changed the artifact store; withdraw this release and create a new version".into()
            }
            Self::EnvironmentLocked { environment, by, .. } => {
                format!("ask {by}, or run `pointsman environment unlock {environment}`")
            }
            Self::AlreadyRunning { running, .. } => format!(
                "watch it with `pointsman watch {running}`, or end it with `pointsman abort {running}`"
            ),
            Self::StrategyNotAllowed { strategy, .. } => {
                format!("choose another strategy, or add {strategy} to strategies of the service")
            }
            Self::AlreadyLive { .. } => "add --force to replace its instances by fresh ones".into(),
            Self::CapacityLimit { environment, .. } => format!(
                "use a smaller --surge, wait for other deployments to end, or raise capacity_limit of {environment}"
            ),
            Self::NoRoom { size, .. } => {
                format!("raise size_limit of the server group to at least {}", size + 1)
            }
            Self::StrategyInvalid { .. } => "correct the number".into(),
        }
    }
}

/// Says yes, or every reason why not, all at once.
///
/// # Errors
/// Each objection that the facts give rise to, in the order of the rules below.
pub fn admit(wish: Wish, facts: Facts) -> Result<Admitted, Vec<Objection>> {
    let mut objections = Vec::new();
    objections.extend(catalogue(&wish, &facts));
    objections.extend(release(&wish, &facts));
    objections.extend(moment(&wish, &facts));
    objections.extend(numbers(&wish.strategy));
    objections.extend(room(&wish, &facts));
    match (facts.group, facts.release) {
        (Some(group), Some(release)) if objections.is_empty() => Ok(Admitted {
            wish,
            group,
            release,
            current: facts.current,
        }),
        _ => Err(objections),
    }
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
            reason: w.reason.clone(),
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
            reason: lock.reason.clone(),
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
        .filter(|live| **live == wish.version && !wish.force)
        .map(|live| Objection::AlreadyLive {
            place: place(),
            version: live.clone(),
        });
    locked.into_iter().chain(running).chain(live).collect()
}

/// The numbers of the strategy make sense.
fn numbers(strategy: &Strategy) -> Vec<Objection> {
    let Strategy::ScaleUp(options) = strategy;
    let day = 86_400;
    let rules = [
        ("surge_percent", options.surge_percent, 1, 100),
        ("bake_seconds", options.bake_seconds, 0, day),
        (
            "health_deadline_seconds",
            options.health_deadline_seconds,
            1,
            day,
        ),
    ];
    rules
        .into_iter()
        .filter(|(_, value, low, high)| value < low || value > high)
        .map(|(field, _, low, high)| Objection::StrategyInvalid {
            field: field.to_owned(),
            rule: format!("between {low} and {high}"),
        })
        .collect()
}

/// The group and the environment have room for the new instances beside the old ones.
fn room(wish: &Wish, facts: &Facts) -> Vec<Objection> {
    let (Some(group), Some(environment)) = (&facts.group, &facts.environment) else {
        return Vec::new();
    };
    let Strategy::ScaleUp(options) = &wish.strategy;
    let capacity = Capacity::of(group, facts.current);
    let base = capacity.asked.max(capacity.current);
    let ceiling = if facts.current == 0 {
        base
    } else {
        scale_up::ceiling(options, capacity)
    };
    let mut objections = Vec::new();
    if facts.current > 0 && ceiling <= base {
        let (place, limit) = (wish.place.clone(), capacity.limit);
        objections.push(Objection::NoRoom {
            place,
            size: base,
            limit,
        });
    }
    let needed = facts.environment_instances.saturating_add(ceiling);
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

#[cfg(test)]
mod tests;
