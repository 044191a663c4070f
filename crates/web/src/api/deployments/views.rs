//! What deployments and their previews look like in answers.

use std::collections::BTreeMap;

use domain::{
    deployment::{Certificate, Course, Deployment},
    gate::{Gate, GateState, Verdict},
    plan::{
        Step,
        preview::{AwsPreview, CapacityPoint, Preview, PreviewStep},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use operations::deployments::plan_hash;

use crate::api::wire::{time, word};

/// One attempt to make a release the live one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployment)]
pub struct DeploymentView {
    /// Its id; ids sort by time.
    pub id: String,
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The release that shall become live.
    pub version: String,
    /// What its instances are counted by.
    pub launch: String,
    /// The release that was live when it began; null for a first deployment.
    pub stable_version: Option<String>,
    /// How.
    pub strategy: domain::plan::Strategy,
    /// Which slice has which role; as planned, until the baseline is recorded.
    pub roles: RolesView,
    /// `running`, `paused`, `rolling_back`, `succeeded`, `rolled_back`, `aborted` or `failed`.
    pub status: String,
    /// `forward` or `rolling_back`.
    pub course: String,
    /// The steps of the present course, as texts.
    pub plan: Vec<String>,
    /// The same steps, for programs.
    pub steps: Vec<StepView>,
    /// Index of the current step; equal to their number while the baseline is being restored, and
    /// at the end.
    pub step: usize,
    /// SHA-256 over the JSON of the way forward: an approval can name the plan that was read.
    pub plan_hash: String,
    /// The gates of the current step.
    pub gates: Vec<GateView>,
    /// What it waits for.
    pub waiting: Option<String>,
    /// Why it does not go forward any more.
    pub failure: Option<String>,
    /// Who paused it, and since when.
    pub paused: Option<PauseView>,
    /// Who asked for it.
    pub requested_by: String,
    /// When, RFC 3339.
    pub requested_at: String,
    /// When it ended, RFC 3339.
    pub finished_at: Option<String>,
    /// What it left behind, compared with what was intended.
    pub certificate: Option<CertificateView>,
    /// Grows with each change; also the ETag.
    pub version_number: u64,
}

/// One condition to reach.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub struct StepView {
    /// The condition, as a text.
    pub text: String,
    /// `reached`, `current` or `ahead`.
    pub state: String,
    /// The condition with its numbers; `step` says which kind it is.
    pub condition: Step,
}

/// Which slice has which role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Roles)]
pub struct RolesView {
    /// Where stable is: `blue` or `green`.
    pub live: String,
    /// Where the new release comes up; the same where both share a slice.
    pub next: String,
}

/// Where a gate stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GateState)]
pub struct GateView {
    /// Which gate, in words.
    pub name: String,
    /// `traffic`, `shadow`, `prometheus`, `http` or `approval`.
    pub gate: String,
    /// `open` (not enough is known yet), `met` or `failed`.
    pub verdict: String,
    /// The last look at it, in words.
    pub text: String,
    /// Who approved, where a person was asked.
    pub approved_by: Option<String>,
}

/// A person's hold on a deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseView {
    /// Who.
    pub by: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// What a deployment left behind, compared with what was intended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Certificate)]
pub struct CertificateView {
    /// All is as intended.
    pub clean: bool,
    /// One line per field.
    pub lines: Vec<CertificateLineView>,
}

/// One field of a certificate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CertificateLine)]
pub struct CertificateLineView {
    /// Which field.
    pub field: String,
    /// Before the deployment.
    pub before: String,
    /// Meant to be now.
    pub intended: String,
    /// Seen now.
    pub seen: String,
}

/// What a deployment is expected to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct PreviewView {
    /// The steps, with what each one costs.
    pub steps: Vec<PreviewStepView>,
    /// Ids of the instances that go.
    pub retires: Vec<String>,
    /// How many instances run from when on.
    pub capacity: Vec<CapacityPointView>,
    /// Most instances at once.
    pub peak_instances: u32,
    /// Instance-milliseconds above what runs now or shall run, whichever is more.
    pub extra_instance_ms: u64,
    /// Requests to the provider that change something.
    pub calls: u32,
    /// The whole deployment, in milliseconds.
    pub expected_ms: u64,
    /// Index of the first step after which the way back has to start instances again.
    pub point_of_no_return: Option<usize>,
    /// Where it takes place on AWS; null on the machine of the server.
    pub aws: Option<AwsPreviewView>,
}

/// Where a deployment on AWS takes place, and what is started there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AwsPreview)]
pub struct AwsPreviewView {
    /// The account.
    pub account: String,
    /// Its region.
    pub region: Option<String>,
    /// The Auto Scaling group of each slice, by `blue` and `green`.
    pub groups: BTreeMap<String, String>,
    /// SHA-256 of the package; null for a machine image that holds everything.
    pub digest: Option<String>,
    /// The machine image; null for a package on whatever image the group's launch template has.
    pub image: Option<String>,
    /// What is different there, one sentence each.
    pub notes: Vec<String>,
}

/// One step, with what it costs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewStep)]
pub struct PreviewStepView {
    /// The condition.
    pub text: String,
    /// How long it is expected to take, in milliseconds.
    pub expected_ms: u64,
    /// How long the way back takes from the end of this step, in milliseconds.
    pub way_back_ms: u64,
}

/// A point of the capacity curve.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CapacityPoint)]
pub struct CapacityPointView {
    /// Milliseconds after the start.
    pub at_ms: u64,
    /// Instances from then on.
    pub instances: u32,
}

impl From<Deployment> for DeploymentView {
    fn from(deployment: Deployment) -> Self {
        let (status, course) = (status(&deployment), word(&deployment.progress.course));
        let at = deployment.progress.at;
        let (plan_hash, gates) = (plan_hash(&deployment), gates(&deployment));
        let numbered = |(index, step): (usize, &Step)| format!("{}. {step}", index + 1);
        let place = deployment.target.place;
        Self {
            id: deployment.id.to_string(),
            service: place.service.to_string(),
            environment: place.environment.to_string(),
            version: deployment.launch.version.to_string(),
            launch: deployment.launch.id.to_string(),
            stable_version: deployment.stable.map(|stable| stable.version.to_string()),
            strategy: deployment.strategy,
            roles: RolesView {
                live: deployment.roles.live.to_string(),
                next: deployment.roles.next.to_string(),
            },
            status,
            course,
            plan: deployment
                .progress
                .steps
                .iter()
                .enumerate()
                .map(numbered)
                .collect(),
            steps: steps(deployment.progress.steps, at),
            step: at,
            plan_hash,
            gates,
            waiting: deployment.waiting.map(|waiting| waiting.to_string()),
            failure: deployment.failure.map(|failure| failure.to_string()),
            paused: deployment.paused.map(|pause| PauseView {
                by: pause.by,
                since: time(pause.since),
            }),
            requested_by: deployment.requested_by,
            requested_at: time(deployment.requested_at),
            finished_at: deployment.ending.as_ref().map(|ending| time(ending.at)),
            certificate: deployment.ending.map(|ending| ending.certificate.into()),
            version_number: deployment.version,
        }
    }
}

/// The status of a deployment, in one word.
pub(in crate::api) fn status(deployment: &Deployment) -> String {
    match (
        &deployment.ending,
        &deployment.paused,
        deployment.progress.course,
    ) {
        (Some(ending), _, _) => word(&ending.outcome),
        (None, Some(_), _) => "paused".to_owned(),
        (None, None, Course::RollingBack) => "rolling_back".to_owned(),
        (None, None, Course::Forward) => "running".to_owned(),
    }
}

/// The gates of the current step. On the way back nothing is asked any more.
fn gates(deployment: &Deployment) -> Vec<GateView> {
    let Some(Step::Bake(bake)) = deployment.step() else {
        return Vec::new();
    };
    let states = &deployment.progress.watch.gates;
    let gates = bake.until.gates.iter().enumerate();
    gates
        .map(|(index, gate)| gate_view(gate, states.get(index).cloned().unwrap_or_default()))
        .collect()
}

fn gate_view(gate: &Gate, state: GateState) -> GateView {
    let text = match (gate, &state.approved_by) {
        (Gate::Approval(_), Some(by)) => format!("approved by {by}"),
        (Gate::Approval(_), None) => "nobody has approved yet".to_owned(),
        _ => state.text,
    };
    let verdict = match state.approved_by {
        Some(_) => Verdict::Met,
        None => state.verdict,
    };
    GateView {
        name: gate.to_string(),
        gate: gate.kind().to_owned(),
        verdict: word(&verdict),
        text,
        approved_by: state.approved_by,
    }
}

fn steps(steps: Vec<Step>, at: usize) -> Vec<StepView> {
    let state = |index: usize| match index.cmp(&at) {
        std::cmp::Ordering::Less => "reached",
        std::cmp::Ordering::Equal => "current",
        std::cmp::Ordering::Greater => "ahead",
    };
    steps
        .into_iter()
        .enumerate()
        .map(|(index, condition)| StepView {
            text: condition.to_string(),
            state: state(index).to_owned(),
            condition,
        })
        .collect()
}

impl From<Certificate> for CertificateView {
    fn from(certificate: Certificate) -> Self {
        let clean = certificate.is_clean();
        let lines = certificate
            .lines
            .into_iter()
            .map(|line| CertificateLineView {
                field: line.field,
                before: line.before,
                intended: line.intended,
                seen: line.seen,
            });
        Self {
            clean,
            lines: lines.collect(),
        }
    }
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
            text: step.text,
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
