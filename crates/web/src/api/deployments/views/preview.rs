//! What a preview looks like in answers.

use std::collections::BTreeMap;

use domain::{
    plan::Step,
    preview::{AwsPreview, CapacityPoint, GateForecast, Preview, PreviewStep},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::steps::GateView;

/// What a deployment is expected to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct PreviewView {
    /// The steps, with what each one costs.
    pub steps: Vec<PreviewStepView>,
    /// Ids of the instances that are retired.
    pub retires: Vec<String>,
    /// Number of instances over time.
    pub capacity: Vec<CapacityPointView>,
    /// Maximum number of instances at once.
    pub peak_instances: u32,
    /// Additional instance-milliseconds, compared with the larger of what runs now and afterwards.
    pub extra_instance_ms: u64,
    /// Number of requests to the provider that change something.
    pub calls: u32,
    /// Expected time of the whole deployment, in milliseconds.
    pub expected_ms: u64,
    /// Index of the first step after which a rollback has to start instances again.
    pub point_of_no_return: Option<usize>,
    /// Where the deployment takes place on AWS; null elsewhere.
    pub aws: Option<AwsPreviewView>,
}

/// Where a deployment on AWS takes place, and what it starts there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AwsPreview)]
pub struct AwsPreviewView {
    /// The account.
    pub account: String,
    /// The region of the account.
    pub region: Option<String>,
    /// The Auto Scaling group of each slice, by `blue` and `green`.
    pub groups: BTreeMap<String, String>,
    /// SHA-256 of the package; null for a machine image that holds everything.
    pub digest: Option<String>,
    /// The machine image; null for a package on the image of the group's launch template.
    pub image: Option<String>,
    /// What to know about that place, one sentence each.
    pub notes: Vec<String>,
}

/// One step, with what it costs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewStep)]
pub struct PreviewStepView {
    /// Its kind: `fill`, `shift`, `bake`, `refresh`, `end_refresh` or `retire`.
    pub step: String,
    /// The condition, for people.
    pub sentence: String,
    /// The gates that must be met before it is reached.
    pub gates: Vec<GateView>,
    /// How long its gates that compare users' traffic need at the present traffic.
    pub forecasts: Vec<GateForecastView>,
    /// The condition with its numbers.
    pub condition: Step,
    /// Expected time of the step, in milliseconds.
    pub expected_ms: u64,
    /// Expected time of a rollback from the end of this step, in milliseconds.
    pub way_back_ms: u64,
}

/// How long a gate needs until a release like stable passes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GateForecast)]
pub struct GateForecastView {
    /// Index of the gate in its step.
    pub gate: usize,
    /// Requests of the new release that it needs; null: no number is enough.
    pub requests: Option<u64>,
    /// Expected time at the present traffic, with the warm-up, in milliseconds; null where stable has no requests.
    pub expected_ms: Option<u64>,
    /// Time that the gate may stay open, in milliseconds.
    pub within_ms: u64,
    /// Whether it is expected to be met before its deadline.
    pub in_time: bool,
    /// The same for people, and what to do where there is too little time.
    pub sentence: String,
}

impl GateForecastView {
    fn of(forecast: &GateForecast) -> Self {
        Self {
            gate: forecast.gate,
            requests: forecast.requests,
            expected_ms: forecast.expected_ms,
            within_ms: forecast.within_ms,
            in_time: forecast.is_in_time(),
            sentence: forecast.sentence(),
        }
    }
}

/// A point of the capacity curve.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CapacityPoint)]
pub struct CapacityPointView {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Number of instances from then on.
    pub instances: u32,
}

impl From<Preview> for PreviewView {
    fn from(preview: Preview) -> Self {
        Self {
            steps: preview
                .steps
                .into_iter()
                .map(PreviewStepView::from)
                .collect(),
            retires: preview.retires.iter().map(ToString::to_string).collect(),
            capacity: preview
                .capacity
                .into_iter()
                .map(CapacityPointView::from)
                .collect(),
            peak_instances: preview.peak_instances,
            extra_instance_ms: preview.extra_instance_ms,
            calls: preview.calls,
            expected_ms: preview.expected_ms,
            point_of_no_return: preview.point_of_no_return,
            aws: preview.aws.map(AwsPreviewView::from),
        }
    }
}

impl From<AwsPreview> for AwsPreviewView {
    fn from(aws: AwsPreview) -> Self {
        let groups = aws.groups.into_iter();
        Self {
            account: aws.account.to_string(),
            region: aws.region,
            groups: groups
                .map(|(slice, name)| (slice.to_string(), name))
                .collect(),
            digest: aws.digest.map(|digest| digest.to_string()),
            image: aws.image.map(|image| image.to_string()),
            notes: aws.notes,
        }
    }
}

impl From<PreviewStep> for PreviewStepView {
    fn from(step: PreviewStep) -> Self {
        Self {
            step: step.step.as_str().to_owned(),
            gates: step.step.gates().iter().map(GateView::ahead).collect(),
            forecasts: step.forecasts.iter().map(GateForecastView::of).collect(),
            sentence: step.sentence,
            condition: step.step,
            expected_ms: step.expected_ms,
            way_back_ms: step.way_back_ms,
        }
    }
}

impl From<CapacityPoint> for CapacityPointView {
    fn from(point: CapacityPoint) -> Self {
        Self {
            at_ms: point.at_ms,
            instances: point.instances,
        }
    }
}
