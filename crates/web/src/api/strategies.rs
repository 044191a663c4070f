//! What the steps of a plan are like, for the API's description.

use std::collections::BTreeMap;

use domain::{gate::Gate, traffic::Mirror};
use utoipa::ToSchema;

/// One condition to reach; `step` says which kind.
#[derive(ToSchema)]
#[schema(as = Condition)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum StepBody {
    /// So many healthy instances of a launch are in a slice.
    Fill {
        /// `blue` or `green`.
        slice: String,
        /// Of what.
        launch: String,
        /// How many of them are healthy at least.
        count: u32,
        /// How many instances of other launches stay meanwhile.
        beside: u32,
    },
    /// Users are split so, and routers were seen to do it.
    Shift {
        /// Percent per slice, summing to 100.
        weights: BTreeMap<String, u8>,
        /// Dark traffic beside the users'.
        #[schema(required = false)]
        mirror: Option<Mirror>,
    },
    /// Instances stay healthy under watch, and gates are met.
    Bake {
        /// `blue` or `green`.
        slice: String,
        /// Of what.
        launch: String,
        /// How many.
        count: u32,
        /// What ends the wait.
        until: Until,
    },
    /// AWS replaced everything in a slice by instances of a launch.
    Refresh {
        /// `blue` or `green`.
        slice: String,
        /// By what.
        launch: String,
        /// How many instances there were when it began.
        count: u32,
        /// How AWS is asked to do it.
        preferences: Preferences,
    },
    /// No instance refresh of the deployment is under way.
    EndRefresh {
        /// `blue` or `green`.
        slice: String,
    },
    /// Instances of a launch are gone.
    Retire {
        /// `blue` or `green`.
        slice: String,
        /// Of what.
        launch: String,
        /// How many of them may stay.
        keep: u32,
        /// How many instances of whatever launch stay in all.
        leaving: u32,
    },
}

/// How AWS is asked to replace instances.
#[derive(ToSchema)]
pub struct Preferences {
    /// Instances that may run at once, in percent of the desired ones.
    pub max_healthy_percent: u32,
    /// How long a new instance must be in service before old ones go, and all of them in the end, in
    /// seconds.
    pub bake_seconds: u32,
    /// Shares of the group after which it waits, in percent.
    #[schema(required = false)]
    pub checkpoints: Vec<u8>,
    /// How long it waits at each, in seconds.
    #[schema(required = false)]
    pub checkpoint_delay_seconds: u32,
    /// CloudWatch alarms that make AWS roll back at once.
    #[schema(required = false)]
    pub alarms: Vec<String>,
}

/// What ends a bake: so many seconds of uninterrupted health, and every gate is met.
#[derive(ToSchema)]
pub struct Until {
    /// Seconds.
    pub seconds: u32,
    /// What must hold besides.
    #[schema(required = false)]
    pub gates: Vec<Gate>,
    /// The slice that stays ready for the way back meanwhile.
    #[schema(required = false)]
    pub warm: Option<String>,
}
