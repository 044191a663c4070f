//! What can be asked of a provider. Each effect is one idempotent request.

use serde::{Deserialize, Serialize};

use crate::{
    catalogue::{Account, ServerGroup},
    gate::Gate,
    names::{DeploymentId, Place},
    observation::{InstanceId, Sizes},
    plan::{Strategy, instance_refresh::Preferences},
    release::Launch,
    slice::Slice,
    traffic::Mirror,
    users::{Split, Weights},
};

/// The server group that an observation or an effect is about, with its settings as they were when
/// the deployment began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which service, where.
    pub place: Place,
    /// The settings.
    pub group: ServerGroup,
    /// The account that it is in. `None`: this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// What looks at it are for.
    pub purpose: Purpose,
    /// Gates compare what users get: a provider that is asked for that by the minute is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compares: bool,
}

/// What somebody looks at a server group for, and so what is worth calls of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To show what is there.
    Status,
    /// To see whether something may begin: all that stands in the way is shown.
    Admission,
    /// To drive a deployment: what stood in its way was asked before it began.
    Deployment,
    /// To drive an instance refresh, which is shown too.
    InstanceRefresh,
}

impl Target {
    /// A server group on this machine.
    #[must_use]
    pub fn local(place: Place, group: ServerGroup) -> Self {
        Self::new(place, group, None)
    }

    /// A server group in `account`, where something may begin; `None`: on this machine.
    #[must_use]
    pub fn new(place: Place, group: ServerGroup, account: Option<Account>) -> Self {
        Self {
            place,
            group,
            account,
            purpose: Purpose::Admission,
            compares: false,
        }
    }

    /// The same, for a deployment by `strategy`.
    #[must_use]
    pub fn for_strategy(self, strategy: &Strategy) -> Self {
        let usual = &self.group.gates;
        let options = strategy.two_slices();
        let gates = options.map(|options| options.gates.as_ref().unwrap_or(usual));
        let mut gates = gates.into_iter().flatten();
        Self {
            compares: gates.any(|gate| matches!(gate, Gate::Traffic(_))),
            ..self
        }
    }

    /// The same, for somebody who only wants to see it.
    #[must_use]
    pub fn to_show(self) -> Self {
        Self {
            purpose: Purpose::Status,
            ..self
        }
    }
}

/// One idempotent request to a provider. Asking twice is the same as asking once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Start new instances from `launch` from now on; running ones stay as they are. `None` gives
    /// back the state of a slice in which nothing was ever launched.
    SetLaunch {
        /// Where.
        slice: Slice,
        /// What new instances are started from.
        launch: Option<Launch>,
    },
    /// Set all three sizes in one request. The provider starts what is missing, and stops what is
    /// too many by *its own* rules among the instances that are not protected.
    SetSizes {
        /// Where.
        slice: Slice,
        /// The new sizes.
        sizes: Sizes,
    },
    /// The group's own scaling stays within these bounds from now on. Desired is not named, because
    /// the group may be changing it right now; it moves only if it is out of bounds.
    SetBounds {
        /// Where.
        slice: Slice,
        /// The new Min.
        min: u32,
        /// The new Max, at least Min.
        max: u32,
    },
    /// Protect instances from scale-in, or stop protecting them. Ids that are gone are ignored.
    /// At most [`PROTECT_IDS_MAX`] ids.
    SetProtection {
        /// Where.
        slice: Slice,
        /// Which instances.
        instances: Vec<InstanceId>,
        /// Protect (`true`) or stop protecting.
        protected: bool,
    },
    /// Switch the provider's own rebalancing between zones off or on.
    SetRebalancing {
        /// Where.
        slice: Slice,
        /// Off (`true`) or on.
        suspended: bool,
    },
    /// Stop one instance; the group starts another in its place from what it launches now. Never
    /// asked of an instance that is healthy.
    Replace {
        /// Where.
        slice: Slice,
        /// Which instance.
        instance: InstanceId,
    },
    /// The provider replaces every instance of the slice by `launch`, on its own, and launches it from
    /// then on if that succeeds. Nothing while it does so already.
    StartRefresh {
        /// Where.
        slice: Slice,
        /// By what.
        launch: Launch,
        /// How.
        preferences: Preferences,
    },
    /// The provider takes back what its refresh replaced. Nothing when none is under way.
    RollBackRefresh {
        /// Where.
        slice: Slice,
    },
    /// The provider stops replacing instances, and leaves those that are there. Nothing when no refresh
    /// is under way.
    CancelRefresh {
        /// Where.
        slice: Slice,
    },
    /// Split users between slices, and copy some of their requests. Both at once: what is not named
    /// ends.
    SetTraffic {
        /// Percent, summing to 100 (or empty: nobody is served).
        weights: Weights,
        /// The dark traffic, if there is to be any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mirror: Option<Mirror>,
    },
}

impl From<Split> for Effect {
    fn from(Split { weights, mirror }: Split) -> Self {
        Self::SetTraffic { weights, mirror }
    }
}

/// Most instance ids in one [`Effect::SetProtection`] (AWS SetInstanceProtection takes 50).
pub const PROTECT_IDS_MAX: usize = 50;

/// Says which deployment asks, and how far it had come.
///
/// Ids of deployments sort by time and versions only grow, so tokens are ordered. A provider that
/// can remember the last token it accepted for a place refuses older ones: an engine that was
/// frozen in the middle of a turn and wakes up late then changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// The deployment that asks.
    pub deployment: DeploymentId,
    /// The version of its journal entry that the engine decided from.
    pub version: u64,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.deployment, self.version)
    }
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetLaunch {
                slice,
                launch: Some(launch),
            } => {
                write!(f, "{slice}: new instances start from {}", launch.version)
            }
            Self::SetLaunch {
                slice,
                launch: None,
            } => write!(f, "{slice}: launch nothing"),
            Self::SetSizes { slice, sizes } => write!(
                f,
                "{slice}: sizes min {} desired {} max {}",
                sizes.min, sizes.desired, sizes.max
            ),
            Self::SetBounds { slice, min, max } => {
                write!(f, "{slice}: at least {min} and at most {max} instances")
            }
            Self::SetProtection {
                slice,
                instances,
                protected: true,
            } => {
                write!(
                    f,
                    "{slice}: protect {} instances from scale-in",
                    instances.len()
                )
            }
            Self::SetProtection {
                slice,
                instances,
                protected: false,
            } => {
                write!(f, "{slice}: stop protecting {} instances", instances.len())
            }
            Self::SetRebalancing { slice, suspended } => {
                let verb = if *suspended { "suspend" } else { "resume" };
                write!(f, "{slice}: {verb} rebalancing between zones")
            }
            Self::Replace { slice, instance } => write!(f, "{slice}: replace instance {instance}"),
            Self::StartRefresh {
                slice,
                launch,
                preferences,
            } => write!(
                f,
                "{slice}: start an instance refresh to {}, {preferences}",
                launch.version
            ),
            Self::RollBackRefresh { slice } => write!(f, "{slice}: roll the instance refresh back"),
            Self::CancelRefresh { slice } => write!(f, "{slice}: cancel the instance refresh"),
            Self::SetTraffic { weights, mirror } => {
                write!(f, "users: {weights}")?;
                match mirror {
                    Some(mirror) => write!(f, "; {mirror}"),
                    None => Ok(()),
                }
            }
        }
    }
}
