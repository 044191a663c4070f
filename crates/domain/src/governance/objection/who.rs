//! The code of an objection, and who can lift it.

use super::Objection;
use crate::{image::ImageState, who::WhoCanAct};

impl Objection {
    /// The stable code, in `snake_case`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ServiceUnknown { .. } => "service_unknown",
            Self::EnvironmentUnknown { .. } => "environment_unknown",
            Self::EnvironmentTypeNotAllowed { .. } => "environment_type_not_allowed",
            Self::NoServerGroup { .. } => "no_server_group",
            Self::ReleaseUnknown { .. } => "release_unknown",
            Self::ReleaseWithdrawn { .. } => "release_withdrawn",
            Self::ArtifactMissing { .. } => "artifact_missing",
            Self::ArtifactChanged { .. } => "artifact_changed",
            Self::AccountUnknown { .. } => "account_unknown",
            Self::AccountElsewhere { .. } => "account_elsewhere",
            Self::NotOffered { .. } => "not_offered",
            Self::ImageNotOffered { .. } => "image_not_offered",
            Self::ImageIsTheRelease { .. } => "image_is_the_release",
            Self::ImageNotAvailable { .. } => "image_not_available",
            Self::NoPackageBucket { .. } => "no_package_bucket",
            Self::Obstructed { .. } => "obstructed",
            Self::EnvironmentLocked { .. } => "environment_locked",
            Self::EnvironmentFrozen { .. } => "environment_frozen",
            Self::AlreadyRunning { .. } => "already_running",
            Self::StrategyNotAllowed { .. } => "strategy_not_allowed",
            Self::AlreadyLive { .. } => "already_live",
            Self::CapacityLimit { .. } => "capacity_limit",
            Self::NoRoom { .. } => "no_room",
            Self::NeedsTwoSlices { .. } => "needs_two_slices",
            Self::OtherSliceEmpty { .. } => "other_slice_empty",
            Self::OtherSliceUnhealthy { .. } => "other_slice_unhealthy",
            Self::OtherSliceRuns { .. } => "other_slice_runs",
            Self::PrometheusUnknown { .. } => "prometheus_unknown",
            Self::GateNotOffered { .. } => "gate_not_offered",
            Self::RefreshNotOffered { .. } => "refresh_not_offered",
            Self::NothingToCompare { .. } => "nothing_to_compare",
            Self::StrategyInvalid { .. } => "strategy_invalid",
        }
    }

    /// Who can lift the objection.
    #[must_use]
    pub fn who_can_act(&self) -> WhoCanAct {
        match self {
            Self::ImageNotAvailable { standing, .. } => match standing {
                ImageState::Is { state } if state == "pending" => WhoCanAct::Time,
                ImageState::Missing => WhoCanAct::ProviderAdministrator,
                _ => WhoCanAct::Owner,
            },
            Self::EnvironmentFrozen { .. } => WhoCanAct::Time,
            Self::OtherSliceUnhealthy { .. } => WhoCanAct::Engine,
            Self::Obstructed { .. } => WhoCanAct::ProviderAdministrator,
            Self::ServiceUnknown { .. }
            | Self::EnvironmentUnknown { .. }
            | Self::EnvironmentTypeNotAllowed { .. }
            | Self::NoServerGroup { .. }
            | Self::ReleaseUnknown { .. }
            | Self::ArtifactMissing { .. }
            | Self::ArtifactChanged { .. }
            | Self::AccountUnknown { .. }
            | Self::AccountElsewhere { .. }
            | Self::NotOffered { .. }
            | Self::ImageNotOffered { .. }
            | Self::ImageIsTheRelease { .. }
            | Self::NoPackageBucket { .. }
            | Self::NoRoom { .. }
            | Self::NeedsTwoSlices { .. }
            | Self::PrometheusUnknown { .. } => WhoCanAct::Owner,
            Self::ReleaseWithdrawn { .. }
            | Self::EnvironmentLocked { .. }
            | Self::AlreadyRunning { .. }
            | Self::StrategyNotAllowed { .. }
            | Self::AlreadyLive { .. }
            | Self::CapacityLimit { .. }
            | Self::OtherSliceEmpty { .. }
            | Self::OtherSliceRuns { .. }
            | Self::GateNotOffered { .. }
            | Self::RefreshNotOffered { .. }
            | Self::NothingToCompare { .. }
            | Self::StrategyInvalid { .. } => WhoCanAct::Operator,
        }
    }
}
