//! What the steps of a deployment and their gates look like in answers.

use std::cmp::Ordering;

use domain::{
    deployment::Deployment,
    gate::{Gate, GateState, Verdict},
    plan::Step,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::time;

/// A step: a condition to reach.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// Its kind: `fill`, `shift`, `bake`, `refresh`, `end_refresh` or `retire`.
    pub step: String,
    /// The condition, for people.
    pub sentence: String,
    /// `reached`, `current` or `ahead`.
    pub state: String,
    /// Since when it is the current step, RFC 3339, without the time spent in pauses; null for the
    /// others.
    pub since: Option<String>,
    /// The gates that must be met before it is reached.
    pub gates: Vec<GateView>,
    /// The condition with its numbers.
    pub condition: Step,
}

/// A gate of a step, and where it stands while the step is the current one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GateState)]
pub struct GateView {
    /// Its kind: `traffic`, `shadow`, `prometheus`, `cloudwatch`, `http` or `approval`.
    pub gate: String,
    /// What people call it.
    pub name: String,
    /// `open` (not enough is known yet), `met` or `failed`; null unless the step is the current one.
    pub verdict: Option<String>,
    /// What was measured last, for people; null unless the step is the current one.
    pub sentence: Option<String>,
    /// When the step fails if the gate is still open, RFC 3339; null once it is not open.
    pub until: Option<String>,
    /// Who can end the wait for it: `engine` or `approver`; null once it is not open.
    pub who_can_act: Option<String>,
    /// Who approved, where a person was asked.
    pub approved_by: Option<String>,
}

/// The steps of the present course.
pub(super) fn steps(deployment: &Deployment) -> Vec<StepView> {
    let versions = deployment.versions();
    let progress = &deployment.progress;
    let view = |(index, step): (usize, &Step)| {
        let order = index.cmp(&progress.at);
        let state = match order {
            Ordering::Less => "reached",
            Ordering::Equal => "current",
            Ordering::Greater => "ahead",
        };
        StepView {
            step: step.as_str().to_owned(),
            sentence: step.sentence(&versions),
            state: state.to_owned(),
            since: order.is_eq().then(|| time(deployment.step_since())),
            gates: if order.is_eq() {
                current_gates(deployment, step)
            } else {
                step.gates().iter().map(GateView::ahead).collect()
            },
            condition: step.clone(),
        }
    };
    progress.steps.iter().enumerate().map(view).collect()
}

fn current_gates(deployment: &Deployment, step: &Step) -> Vec<GateView> {
    let states = &deployment.progress.watch.gates;
    let gates = step.gates().iter().enumerate();
    gates
        .map(|(index, gate)| {
            let state = states.get(index).cloned().unwrap_or_default();
            current(deployment, gate, state)
        })
        .collect()
}

fn current(deployment: &Deployment, gate: &Gate, state: GateState) -> GateView {
    let verdict = match state.approved_by {
        Some(_) => Verdict::Met,
        None => state.verdict,
    };
    let sentence = match (gate, &state.approved_by) {
        (Gate::Approval(_), Some(by)) => format!("approved by {by}"),
        (Gate::Approval(_), None) => "nobody has approved yet".to_owned(),
        _ if state.text.is_empty() => "nothing was measured yet".to_owned(),
        _ => state.text,
    };
    let open = verdict == Verdict::Open;
    let until = deployment.gate_deadline(gate).filter(|_| open);
    GateView {
        verdict: Some(verdict.as_str().to_owned()),
        sentence: Some(sentence),
        until: until.map(time),
        who_can_act: open.then(|| gate.who_can_act().to_string()),
        approved_by: state.approved_by,
        ..GateView::ahead(gate)
    }
}

impl GateView {
    /// A gate of a step that is not the current one.
    pub(super) fn ahead(gate: &Gate) -> Self {
        Self {
            gate: gate.as_str().to_owned(),
            name: gate.to_string(),
            verdict: None,
            sentence: None,
            until: None,
            who_can_act: None,
            approved_by: None,
        }
    }
}
