//! What strategies, steps, gates and the looks at them are like, for the API's description.
//!
//! They are read and answered as the domain writes them. A test holds these descriptions against
//! real answers.

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// How a release becomes the live one; `kind` says which way.
#[derive(ToSchema)]
#[schema(as = Strategy)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StrategyBody {
    /// Double the group, keep the new half.
    ScaleUp(ScaleUp),
    /// Let AWS replace the instances of the group.
    InstanceRefresh(InstanceRefresh),
    /// Fill the other slice, move the users over, all at once or by weights.
    BlueGreen(TwoSlices),
    /// Fill the other slice, move the users over bit by bit, each time watching what they get.
    Canary(TwoSlices),
    /// Move the users to what the other slice runs already.
    Switch,
}

/// The numbers of a scale-up.
#[derive(ToSchema)]
pub struct ScaleUp {
    /// How many instances more than asked may run at once, in percent of asked (1 to 100).
    #[schema(required = false, default = 100, minimum = 1, maximum = 100)]
    pub surge_percent: u32,
    /// How long new instances must stay healthy before old ones go, in seconds.
    #[schema(required = false, default = 10, maximum = 86_400)]
    pub bake_seconds: u32,
    /// How long new instances may take to become healthy, in seconds.
    #[schema(required = false, default = 300, minimum = 1, maximum = 86_400)]
    pub health_deadline_seconds: u32,
}

/// The numbers of an instance refresh: AWS starts new instances, waits until they are in service, and
/// stops old ones.
#[derive(ToSchema)]
pub struct InstanceRefresh {
    /// How many instances more than there are may run at once, in percent of them (1 to 100).
    #[schema(required = false, default = 100, minimum = 1, maximum = 100)]
    pub surge_percent: u32,
    /// How long AWS waits after new instances are in service before old ones go, in seconds.
    #[schema(required = false, default = 10, maximum = 86_400)]
    pub bake_seconds: u32,
    /// How long new instances may take to become healthy, in seconds.
    #[schema(required = false, default = 300, minimum = 1, maximum = 86_400)]
    pub health_deadline_seconds: u32,
    /// Shares of the group after which it waits, in percent (1 to 99), growing.
    #[schema(required = false)]
    pub checkpoints: Vec<u8>,
    /// How long it waits at each, in seconds.
    #[schema(required = false, default = 3600, maximum = 172_800)]
    pub checkpoint_delay_seconds: u32,
    /// CloudWatch alarms that make AWS roll back at once.
    #[schema(required = false, max_items = 10)]
    pub alarms: Vec<String>,
}

/// The numbers of a blue/green or canary deployment.
#[derive(ToSchema)]
pub struct TwoSlices {
    /// How many users are moved when. The last stage is always 100 %, written or not.
    #[schema(required = false, max_items = 100)]
    pub stages: Vec<Stage>,
    /// What must hold before more users are moved. Left out: the gates of the server group.
    #[schema(required = false, max_items = 20)]
    pub gates: Option<Vec<GateBody>>,
    /// Dark traffic before any user is moved.
    #[schema(required = false)]
    pub shadow: Option<Shadow>,
    /// How long the old slice stays ready for the way back once all users are moved, in seconds.
    #[schema(required = false, default = 600, maximum = 604_800)]
    pub warm_seconds: u32,
    /// Keep the old slice for good, so that users can be switched back to it.
    #[schema(required = false, default = false)]
    pub keep_old: bool,
    /// How long new instances may take to become healthy, in seconds.
    #[schema(required = false, default = 300, minimum = 1, maximum = 86_400)]
    pub health_deadline_seconds: u32,
}

/// A share of the users, and for how long.
#[derive(ToSchema)]
pub struct Stage {
    /// Users on the new release, in percent; each stage has more than the one before.
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u8,
    /// How long at least before the next stage, in seconds.
    #[schema(required = false, default = 0, maximum = 604_800)]
    pub seconds: u32,
}

/// Dark traffic before any user is moved: copies of requests, whose answers nobody gets.
#[derive(ToSchema)]
pub struct Shadow {
    /// How many of the requests are copied, in percent.
    #[schema(minimum = 1, maximum = 100)]
    pub percent: u8,
    /// For how long at least, in seconds.
    #[schema(required = false, default = 60, minimum = 1, maximum = 604_800)]
    pub seconds: u32,
    /// Copy requests of these methods besides GET and HEAD. Opt in only what is safe to do twice.
    #[schema(required = false)]
    pub methods: Vec<String>,
    /// Compare the answers; a gate then decides on the differences.
    #[schema(required = false)]
    pub compare: Option<Compare>,
    /// What the comparison tolerates.
    #[schema(required = false)]
    pub gate: ShadowGate,
}

/// What is compared of two answers: the status always, the body field by field when both are JSON.
#[derive(ToSchema)]
pub struct Compare {
    /// Headers that are compared too, in lower case.
    #[schema(required = false)]
    pub headers: Vec<String>,
    /// JSON fields that are not compared, such as `$.served_at` or `$.items[].id`.
    #[schema(required = false)]
    pub ignore: Vec<String>,
}

/// A condition on the way to more users; `gate` says which kind. Missing data leaves a gate open, and
/// an open gate fails at its deadline.
#[derive(ToSchema)]
#[schema(as = Gate)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum GateBody {
    /// Errors and latency of the new release, compared with stable's as the router counts them.
    Traffic(TrafficGate),
    /// The answers to dark traffic; comes from `shadow` of the strategy, and is never written.
    Shadow(ShadowGate),
    /// A question to a Prometheus.
    Prometheus(PrometheusGate),
    /// What CloudWatch knows of the new release on AWS.
    #[serde(rename = "cloudwatch")]
    CloudWatch(CloudWatchGate),
    /// An HTTP check that answers 2xx when all is well.
    Http(HttpGate),
    /// A person's yes.
    Approval(ApprovalGate),
}

/// Errors and latency, new against stable.
#[derive(ToSchema)]
pub struct TrafficGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[schema(required = false)]
    pub at: Vec<u8>,
    /// What is tolerated.
    #[schema(required = false)]
    pub tolerance: Tolerance,
    /// How long it may stay open after the time of its stage, in seconds.
    #[schema(required = false, default = 600, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// How much worse than stable the new release may be.
#[derive(ToSchema)]
pub struct Tolerance {
    /// So many more in a thousand requests may fail.
    #[schema(required = false, default = 10, minimum = 1, maximum = 1000)]
    pub error_margin_permille: u32,
    /// Which percentiles of the latency are compared.
    #[schema(required = false, max_items = 5)]
    pub percentiles: Vec<u8>,
    /// By so many percent a percentile may be slower.
    #[schema(required = false, default = 50, minimum = 1, maximum = 1000)]
    pub latency_margin_percent: u32,
}

/// The answers to dark traffic.
#[derive(ToSchema)]
pub struct ShadowGate {
    /// So many in a thousand answers may differ beyond what stable's own answers do.
    #[schema(required = false, default = 10, maximum = 1000)]
    pub margin_permille: u32,
    /// How long it may stay open after the time of the dark traffic, in seconds.
    #[schema(required = false, default = 600, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// A question to a Prometheus. The first value of the answer must be within the bounds.
#[derive(ToSchema)]
pub struct PrometheusGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[schema(required = false)]
    pub at: Vec<u8>,
    /// Which one, by its name in the catalogue.
    pub prometheus: String,
    /// Where it answers; filled in from the catalogue when a deployment begins.
    #[schema(required = false)]
    pub url: String,
    /// The question, in PromQL.
    pub query: String,
    /// The value may not be below this. At least one of `min` and `max` is needed.
    #[schema(required = false)]
    pub min: Option<f64>,
    /// The value may not be above this.
    #[schema(required = false)]
    pub max: Option<f64>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[schema(required = false)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[schema(required = false, default = 600, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// A question to CloudWatch, in the account of the server group. Either `alarm`, or `metric` and `max`.
#[derive(ToSchema)]
pub struct CloudWatchGate {
    /// At which shares of users it is looked at, in percent; empty: wherever both have users.
    #[schema(required = false)]
    pub at: Vec<u8>,
    /// The name of an alarm that must be OK.
    #[schema(required = false)]
    pub alarm: Option<String>,
    /// What is measured of the target group of the new release, over the last minute.
    #[schema(required = false)]
    pub metric: Option<CloudWatchMetric>,
    /// The value may not be above this.
    #[schema(required = false)]
    pub max: Option<f64>,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[schema(required = false)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[schema(required = false, default = 600, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// What an Application Load Balancer reports of a target group.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloudWatchMetric {
    /// 99th percentile of the response time, in seconds.
    TargetResponseTimeP99,
    /// 5XX answers of all, in percent.
    #[serde(rename = "target_5xx_percent")]
    Target5xxPercent,
}

/// An HTTP check: a POST with the deployment in its body. 2xx means that all is well, anything else
/// that it is not, no answer that nothing is known.
#[derive(ToSchema)]
pub struct HttpGate {
    /// At which shares of users it is looked at, in percent (0: before anybody is moved); empty:
    /// wherever both have users, or before anybody is moved when that is nowhere.
    #[schema(required = false)]
    pub at: Vec<u8>,
    /// Where.
    pub url: String,
    /// How often it is asked, and how many bad answers in a row make it fail.
    #[schema(required = false)]
    pub patience: Patience,
    /// How long it may stay open after the time of its stage, in seconds.
    #[schema(required = false, default = 600, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// A person's yes.
#[derive(ToSchema)]
pub struct ApprovalGate {
    /// At which shares of users it is asked for, in percent (0: before anybody is moved).
    #[schema(required = false)]
    pub at: Vec<u8>,
    /// By somebody else than who asked for the deployment. Set where the environment type says so.
    #[schema(required = false, default = false)]
    pub by_another: bool,
    /// How long it is waited for, in seconds.
    #[schema(required = false, default = 86_400, minimum = 1, maximum = 604_800)]
    pub deadline: u32,
}

/// How often something is asked, and how many bad answers in a row it may give.
#[derive(ToSchema)]
pub struct Patience {
    /// Between two questions, in seconds.
    #[schema(required = false, default = 5, minimum = 1, maximum = 3600)]
    pub interval_seconds: u32,
    /// So many bad answers in a row make the gate fail.
    #[schema(required = false, default = 3, minimum = 1, maximum = 100)]
    pub bad_answers: u32,
}

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
    pub gates: Vec<GateBody>,
    /// The slice that stays ready for the way back meanwhile.
    #[schema(required = false)]
    pub warm: Option<String>,
}

/// Dark traffic: copies of some of the users' requests to a slice, whose answers nobody gets.
#[derive(ToSchema)]
pub struct Mirror {
    /// Whose users' requests are copied.
    pub from: String,
    /// Who gets the copies.
    pub to: String,
    /// How many of the requests that may be copied are, in percent.
    pub percent: u8,
    /// Requests of these methods are copied besides GET and HEAD.
    #[schema(required = false)]
    pub methods: Vec<String>,
    /// What is compared of the answers.
    #[schema(required = false)]
    pub compare: Option<Compare>,
}

/// The numbers of one look at users' traffic, complete enough to draw it. Rates are in millionths of
/// requests.
#[derive(ToSchema)]
pub struct TrafficLook {
    /// What follows from all measurements: `worse` if any is, `not_worse` if all are, otherwise
    /// `not_enough`.
    pub verdict: String,
    /// With `not_enough`: so many more requests of the new release would settle it if everything goes
    /// on like this; null where that cannot be said.
    #[schema(required = false)]
    pub more_requests: Option<u64>,
    /// Requests that the new release had.
    pub requests_new: u64,
    /// Requests that stable had.
    pub requests_stable: u64,
    /// The errors.
    pub errors: Judged,
    /// What follows from the percentiles alone; null where none is compared.
    #[schema(value_type = Option<Object>)]
    pub latency_verdict: Option<String>,
    /// The percentiles, the lowest first.
    pub latency: Vec<PercentileLook>,
}

/// A verdict with its numbers, in millionths of requests.
#[derive(ToSchema)]
pub struct Judged {
    /// `worse`, `not_worse` or `not_enough`.
    pub verdict: String,
    /// With `not_enough`: so many more requests of the new release would settle it.
    #[schema(required = false)]
    pub more_requests: Option<u64>,
    /// The new release's rate of events.
    pub new_ppm: i64,
    /// Stable's rate of events with the same traffic.
    pub stable_ppm: i64,
    /// The measured difference, new less stable.
    pub difference_ppm: i64,
    /// The true difference is at most this, as sure as was asked for.
    pub upper_ppm: i64,
    /// Most that the difference may be.
    pub margin_ppm: u32,
    /// The logarithm of the evidence that the new release is worse, in millinats.
    pub evidence_millinats: i64,
    /// Where `evidence_millinats` makes it sure.
    pub needed_millinats: i64,
}

/// One percentile at one look.
#[derive(ToSchema)]
pub struct PercentileLook {
    /// Which.
    pub percent: u8,
    /// The new release's, over everything that was counted, in microseconds.
    pub new_us: Option<u64>,
    /// Stable's.
    pub stable_us: Option<u64>,
    /// Where it was on stable at first, in microseconds; null until stable had enough answers.
    pub boundary_us: Option<u64>,
    /// How long the new release's may be: the boundary and the margin.
    pub allowed_us: Option<u64>,
    /// How many answers were slower than allowed, against those of stable above the boundary, and
    /// what follows.
    #[serde(flatten)]
    pub judged: Judged,
}
