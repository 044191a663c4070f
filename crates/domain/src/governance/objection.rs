//! Why governance says no, and what would change its mind.

mod who;

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{FreezeName, ProviderKind, StrategyKind},
    image::ImageState,
    names::{
        AccountName, DeploymentId, EnvironmentName, EnvironmentTypeName, Place, PrometheusName,
        Version,
    },
    release::ImageId,
    slice::Slice,
    time::{UnixMs, rfc3339},
};

/// One reason why governance says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
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
    #[error("release {version} was withdrawn by {by}: {why}")]
    ReleaseWithdrawn {
        /// Which version.
        version: Version,
        /// Who withdrew it.
        by: String,
        /// Why, in their words.
        why: String,
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
    /// The group is in an account that nobody described.
    #[error("the account {account} is not in the catalogue")]
    AccountUnknown {
        /// Which.
        account: AccountName,
    },
    /// The group has settings for one provider, and the account is of another.
    #[error("the account {account} is not {}", .provider.whereabouts())]
    AccountElsewhere {
        /// Which.
        account: AccountName,
        /// The provider that the group has settings for.
        provider: ProviderKind,
    },
    /// What splits the users there cannot do this.
    #[error("the load balancer of {place} cannot {what}")]
    NotOffered {
        /// Which service, where.
        place: Place,
        /// What it cannot do.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// No machine images there.
    #[error("release {version} needs a machine image, and {place} is not on AWS")]
    ImageNotOffered {
        /// Which service, where.
        place: Place,
        /// The version.
        version: Version,
    },
    /// The image cannot be exchanged under a release that is one.
    #[error("release {version} is a machine image itself: another image would be another release")]
    ImageIsTheRelease {
        /// The version.
        version: Version,
    },
    /// Nothing can be started from the image.
    #[error("the machine image {image} {standing} in the account {account}")]
    ImageNotAvailable {
        /// Which.
        image: ImageId,
        /// In which account.
        account: AccountName,
        /// How it stands there.
        standing: ImageState,
    },
    /// Instances would not know where to fetch the package.
    #[error("the account of {place} names no S3 bucket for packages")]
    NoPackageBucket {
        /// Which service, where.
        place: Place,
    },
    /// Somebody else is at work there, or it is of a kind that is not supported.
    #[error("{slice} of {place}: {why}")]
    Obstructed {
        /// Which service, where.
        place: Place,
        /// Who looks after it.
        provider: ProviderKind,
        /// The slice.
        slice: Slice,
        /// Why it must not be changed now.
        why: String,
    },
    /// Held by a person.
    #[error("{environment} is locked by {by}: {why}")]
    EnvironmentLocked {
        /// Which environment.
        environment: EnvironmentName,
        /// Who locked it.
        by: String,
        /// Why, in their words.
        why: String,
    },
    /// The calendar says that nothing is deployed.
    #[error("{environment} is frozen by {freeze}: {why}")]
    EnvironmentFrozen {
        /// Which environment.
        environment: EnvironmentName,
        /// The freeze that covers it.
        freeze: FreezeName,
        /// Why, in the words of its people.
        why: String,
        /// When the freeze ends.
        #[serde(with = "rfc3339")]
        until: UnixMs,
    },
    /// One at a time.
    #[error("deployment {running} of {place} is already running")]
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
    #[error("release {version} is already live in {}", .place.environment)]
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
    /// The strategy moves users between slices, and there is only one.
    #[error("{strategy} needs two slices, and the server group {place} has one")]
    NeedsTwoSlices {
        /// Which service, where.
        place: Place,
        /// The strategy asked for.
        strategy: StrategyKind,
    },
    /// Nothing to switch to.
    #[error("the other slice of {place} runs nothing that users could be switched to")]
    OtherSliceEmpty {
        /// Which service, where.
        place: Place,
    },
    /// Not enough to switch to.
    #[error(
        "{slice}, the other slice of {place}, has {healthy} healthy instances; {needed} are needed"
    )]
    OtherSliceUnhealthy {
        /// Which service, where.
        place: Place,
        /// The slice.
        slice: Slice,
        /// Healthy instances there.
        healthy: u32,
        /// How many must be.
        needed: u32,
    },
    /// A switch names another release than the one that it would bring.
    #[error("{slice}, the other slice of {place}, runs {running} and not {version}")]
    OtherSliceRuns {
        /// Which service, where.
        place: Place,
        /// The slice.
        slice: Slice,
        /// What it runs.
        running: Version,
        /// What was asked for.
        version: Version,
    },
    /// A gate asks a Prometheus that is not in the catalogue.
    #[error("a gate asks the Prometheus {prometheus}, which is not in the catalogue")]
    PrometheusUnknown {
        /// Which.
        prometheus: PrometheusName,
    },
    /// A gate asks the provider of the server group, which answers no gates.
    #[error("the gate \"{gate}\" asks AWS, and this server group is not there")]
    GateNotOffered {
        /// Which gate.
        gate: String,
        /// What to do instead.
        remedy: String,
    },
    /// The provider does not replace instances by itself.
    #[error("{place} is not on AWS, and an instance refresh is AWS's own way to replace instances")]
    RefreshNotOffered {
        /// Where.
        place: Place,
    },
    /// A gate compares two releases that never have users at the same time.
    #[error(
        "the gate \"{gate}\" compares two releases, and no stage of this deployment has users on both"
    )]
    NothingToCompare {
        /// Which gate.
        gate: String,
    },
    /// A number of the strategy makes no sense.
    #[error("{field} {rule}")]
    StrategyInvalid {
        /// Which number.
        field: String,
        /// What it must be, as the rest of the sentence.
        rule: String,
    },
}

impl Objection {
    /// What would lift the objection: what to do or to type next.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "a table: one row per objection, and the compiler asks for each"
    )]
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
                "restore the artifact from a backup, or upload the same content again with `pointsman release create`".into()
            }
            Self::ArtifactChanged { .. } => {
                "find out who changed the artifact store; withdraw this release and create a new version".into()
            }
            Self::EnvironmentFrozen { freeze, .. } => format!(
                "wait until it ends; `pointsman freeze get {freeze}` shows it"
            ),
            Self::EnvironmentLocked { environment, by, .. } => {
                format!("ask {by}, or run `pointsman environment unlock {environment}`")
            }
            Self::AccountUnknown { .. } => {
                "describe it in a manifest (kind: Account) and run `pointsman apply -f FILE`".into()
            }
            Self::AccountElsewhere { account, provider } => {
                let region = match provider {
                    ProviderKind::Aws => " and a region",
                    ProviderKind::Local | ProviderKind::Custom => "",
                };
                format!(
                    "set `provider: {}`{region} in the manifest of the account {account}, or choose another account",
                    provider.as_str()
                )
            }
            Self::NotOffered { remedy, .. } | Self::GateNotOffered { remedy, .. } => remedy.clone(),
            Self::ImageNotOffered { .. } => {
                "create a release from a package with --artifact, or describe the server group's place on AWS".into()
            }
            Self::ImageIsTheRelease { .. } => {
                "create a release from the new image with `pointsman release create --image`".into()
            }
            Self::ImageNotAvailable { standing, .. } => match standing {
                ImageState::Is { state } if state == "pending" => {
                    "wait until it is available, then deploy again".into()
                }
                ImageState::Missing => {
                    "choose an image of that account and region, or share the image with the account"
                        .into()
                }
                _ => "build the image again: this one cannot be started".into(),
            },
            Self::NoPackageBucket { place } => format!(
                "set package_bucket in the manifest of the account, or release {} as a machine image",
                place.service
            ),
            Self::Obstructed { provider, .. } => {
                let there = match provider {
                    ProviderKind::Aws => "in AWS",
                    ProviderKind::Local => "on this machine",
                    ProviderKind::Custom => "at the provider",
                };
                format!("resolve it {there}, then retry; `pointsman doctor` shows more")
            }
            Self::AlreadyRunning { running, .. } => format!(
                "follow it with `pointsman watch {running}`, or abort it with `pointsman abort {running}`"
            ),
            Self::StrategyNotAllowed { strategy, .. } => {
                format!("choose another strategy, or add {strategy} to strategies of the service")
            }
            Self::AlreadyLive { .. } => "add --force to replace its instances with new ones".into(),
            Self::CapacityLimit { environment, .. } => format!(
                "use a smaller --surge, wait for other deployments to end, or raise capacity_limit of {environment}"
            ),
            Self::NoRoom { size, .. } => {
                format!("raise size_limit of the server group to at least {}", size + 1)
            }
            Self::NeedsTwoSlices { .. } => {
                "set `slices: 2` in the manifest of the server group, or deploy with --strategy scale-up".into()
            }
            Self::OtherSliceEmpty { place } => format!(
                "deploy with --strategy blue-green --keep-old to have something to switch to; `pointsman slices {} -e {}` shows what runs",
                place.service, place.environment
            ),
            Self::OtherSliceUnhealthy { place, .. } => format!(
                "wait until its instances are healthy; `pointsman slices {} -e {}` shows them",
                place.service, place.environment
            ),
            Self::OtherSliceRuns { place, version, .. } => format!(
                "run `pointsman switch {} -e {}` for what runs there, or deploy {version} with --strategy blue-green",
                place.service, place.environment
            ),
            Self::PrometheusUnknown { .. } => {
                "describe it in a manifest (kind: Prometheus) and run `pointsman apply -f FILE`".into()
            }
            Self::RefreshNotOffered { .. } => {
                "deploy with --strategy scale-up: Pointsman replaces the instances itself".into()
            }
            Self::NothingToCompare { .. } => {
                "add a stage below 100 %, such as --weights 10,100, or remove the gate with --no-gates".into()
            }
            Self::StrategyInvalid { .. } => "correct the value".into(),
        }
    }
}
