//! What deployments look like in answers.

mod preview;
mod reasons;
mod steps;

use domain::deployment::{Certificate, Deployment};
use serde::Serialize;
use utoipa::ToSchema;

use operations::deployments::plan_hash;

use crate::api::wire::time;

pub use preview::PreviewView;
pub use reasons::{FailureView, WaitingView};
use steps::{StepView, steps};

/// A deployment: one attempt to make a release the live one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deployment)]
pub struct DeploymentView {
    /// Id of the deployment; ids sort by time.
    pub id: String,
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The version of the release that is deployed.
    pub version: String,
    /// Id of the launch, by which its instances are counted.
    pub launch: String,
    /// The version that was live when it started; null for a first deployment.
    pub stable_version: Option<String>,
    /// The strategy, with all its numbers.
    pub strategy: domain::plan::Strategy,
    /// The roles of the slices; as planned, until the baseline is recorded.
    pub roles: RolesView,
    /// `running`, `paused`, `rolling_back`, `succeeded`, `rolled_back`, `aborted` or `failed`.
    pub status: String,
    /// `forward` or `rolling_back`.
    pub course: String,
    /// The steps of the current course.
    pub steps: Vec<StepView>,
    /// Index of the current step; equal to the number of steps while the baseline is being restored,
    /// and at the end.
    pub step: usize,
    /// SHA-256 of the plan, with which an approval can name the plan that was read.
    pub plan_hash: String,
    /// What it waits for; null when it does not wait.
    pub waiting: Option<WaitingView>,
    /// Why it does not go forward any more; null while it does.
    pub failure: Option<FailureView>,
    /// The pause; null when it is not paused.
    pub paused: Option<PauseView>,
    /// Who requested it.
    pub requested_by: String,
    /// When it was requested, RFC 3339.
    pub requested_at: String,
    /// When it ended, RFC 3339; null before that.
    pub finished_at: Option<String>,
    /// What it left behind, compared with what was intended; null before it ended.
    pub certificate: Option<CertificateView>,
    /// Increases with every change; also the ETag.
    pub version_number: u64,
}

/// The roles of the slices.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Roles)]
pub struct RolesView {
    /// The slice of the stable release: `blue` or `green`.
    pub live: String,
    /// The slice of the new release; the same when both share a slice.
    pub next: String,
}

/// The pause of a deployment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pause)]
pub struct PauseView {
    /// Who paused it.
    pub by: String,
    /// When it was paused, RFC 3339.
    pub since: String,
}

/// What a deployment left behind, compared with what was intended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Certificate)]
pub struct CertificateView {
    /// Whether everything is as intended.
    pub clean: bool,
    /// One line per field.
    pub lines: Vec<CertificateLineView>,
}

/// One field of a certificate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CertificateLine)]
pub struct CertificateLineView {
    /// Name of the field.
    pub field: String,
    /// Value before the deployment.
    pub before: String,
    /// Intended value.
    pub intended: String,
    /// Value that was seen at the end.
    pub seen: String,
}

impl From<Deployment> for DeploymentView {
    fn from(deployment: Deployment) -> Self {
        let versions = deployment.versions();
        let (steps, plan_hash) = (steps(&deployment), plan_hash(&deployment));
        let (status, waiting) = (deployment.status(), WaitingView::of_deployment(&deployment));
        let failure = deployment.failure.as_ref();
        let failure = failure.map(|it| FailureView::of(it, &versions));
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
            status: status.to_string(),
            course: deployment.progress.course.as_str().to_owned(),
            steps,
            step: deployment.progress.at,
            plan_hash,
            waiting,
            failure,
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
