//! What events and looks look like in answers.

use domain::{
    deployment::Deployment,
    effect::Effect,
    event::{Event, What},
    evidence,
    gate::GateLook,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{
    deployments::{FailureView, WaitingView},
    wire::time,
};
use operations::events::{Looked, Numbered};

/// One thing that happened to a deployment.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// Its place in the deployment's list, counted from 1.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// Stable, for programs: `requested`, `recorded`, `step_started`, `applied`, `waiting`, `looked`,
    /// `commanded`, `clock_set`, `rolling_back` or `finished`.
    pub event: String,
    /// The same for people.
    pub sentence: String,
    /// `step_started`, `looked`: index of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// `applied`: what the provider was asked for; its own `effect` says which kind it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub effect: Option<Effect>,
    /// `waiting`: what the deployment waits for since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingView>,
    /// `looked`: what was seen of a gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<GateLookView>,
    /// `commanded`: `pause`, `resume`, `abort`, `roll_back`, `approve`, `reject` or `promote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// `commanded`: the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// `clock_set`: how far the server's clock was moved forward, in milliseconds; negative: back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_ms: Option<i64>,
    /// `rolling_back`, `finished`: why the deployment does not go forward, as it is known now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// `finished`: `succeeded`, `rolled_back`, `aborted` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// One look at one gate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GateLook)]
pub struct GateLookView {
    /// Index of the gate in its step.
    pub gate: usize,
    /// What people call the gate.
    pub name: String,
    /// `open` (not enough is known yet), `met` or `failed`.
    pub verdict: String,
    /// The same with its numbers, for people.
    pub sentence: String,
    /// The numbers, where users' traffic was compared.
    pub traffic: Option<Box<evidence::Look>>,
    /// The value, where something outside was asked.
    pub value: Option<f64>,
}

/// One look at one gate, with its place in the deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Look)]
pub struct LookView {
    /// The place of its event in the deployment's list, counted from 1.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// At which step of the way forward, counted from 0.
    pub step: usize,
    /// Users that were meant to be on the new release then, in percent.
    pub percent: u8,
    /// What was seen.
    #[serde(flatten)]
    pub look: GateLookView,
}

impl EventView {
    /// An event of `deployment`.
    pub fn of((seq, event): Numbered, deployment: &Deployment) -> Self {
        let Event { at, what, message } = event;
        let view = Self {
            seq,
            at: time(at),
            event: what.as_str().to_owned(),
            sentence: message,
            ..Self::default()
        };
        let versions = deployment.versions();
        let failure = deployment.failure.as_ref();
        let failure = failure.map(|it| FailureView::of(it, &versions));
        match what {
            What::Requested | What::Recorded => view,
            What::StepStarted { step } => Self {
                step: Some(step),
                ..view
            },
            What::Applied { effect } => Self {
                effect: Some(effect),
                ..view
            },
            What::Waiting { waiting } => Self {
                waiting: Some(WaitingView::of(&waiting, Some(at), &versions)),
                ..view
            },
            What::Looked { step, look } => Self {
                step: Some(step),
                look: Some(look.into()),
                ..view
            },
            What::Commanded { command, by } => Self {
                command: Some(command),
                by: Some(by),
                ..view
            },
            What::ClockSet { by_ms } => Self {
                by_ms: Some(by_ms),
                ..view
            },
            What::RollingBack => Self { failure, ..view },
            What::Finished { outcome } => Self {
                failure,
                outcome: Some(outcome.as_str().to_owned()),
                ..view
            },
        }
    }
}

impl From<GateLook> for GateLookView {
    fn from(look: GateLook) -> Self {
        Self {
            gate: look.gate,
            name: look.name,
            verdict: look.verdict.as_str().to_owned(),
            sentence: look.text,
            traffic: look.traffic,
            value: look.value.map(|number| number.0),
        }
    }
}

impl From<Looked> for LookView {
    fn from(looked: Looked) -> Self {
        Self {
            seq: looked.seq,
            at: time(looked.at),
            step: looked.step,
            percent: looked.percent,
            look: looked.look.into(),
        }
    }
}
