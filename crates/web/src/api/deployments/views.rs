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
    /// The steps of the present course.
    pub steps: Vec<StepView>,
    /// Index of the current step; equal to their number while the baseline is being restored, and
    /// at the end.
    pub step: usize,
    /// SHA-256 over the JSON of the way forward: an approval can name the plan that was read.
    pub plan_hash: String,
    /// What it waits for.
    pub waiting: Option<WaitingView>,
    /// Why it does not go forward any more.
    pub failure: Option<FailureView>,
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

/// Which slice has which role.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Roles)]
pub struct RolesView {
    /// Where stable is: `blue` or `green`.
    pub live: String,
    /// Where the new release comes up; the same where both share a slice.
    pub next: String,
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

impl From<Deployment> for DeploymentView {
    fn from(deployment: Deployment) -> Self {
        let versions = deployment.versions();
        let (steps, plan_hash) = (steps(&deployment), plan_hash(&deployment));
        let (status, since) = (deployment.status(), deployment.waiting_since());
        let waiting = deployment.waiting.as_ref();
        let waiting = waiting.map(|it| WaitingView::of(it, since, &versions));
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
