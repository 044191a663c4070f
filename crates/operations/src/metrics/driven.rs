//! The deployments that this process drives: how many there are, and what they wait for.
//!
//! Invariant: what was not heard of for [`FORGET`] is not counted, so that a lease which was lost in
//! silence leaves no trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{
    deployment::{Deployment, Status},
    names::DeploymentId,
    reason::Waiting,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{family::Family, gauge::Gauge},
};

use super::labels::{ReasonLabels, StatusLabels};

/// Longer than a lease, and than the longest time between two looks.
const FORGET: Duration = Duration::from_secs(120);

/// What is known of the deployments that are driven.
#[derive(Debug, Default)]
pub(super) struct Driven(Mutex<Driving>);

#[derive(Debug, Default)]
struct Driving {
    deployments: BTreeMap<DeploymentId, Stand>,
    /// Every reason that there ever was: nobody waiting is a zero, not a gap.
    reasons: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Stand {
    status: Status,
    reason: Option<&'static str>,
    heard_at: Instant,
}

impl Driven {
    /// This is how a deployment stands.
    pub(super) fn see(&self, deployment: &Deployment) {
        let stand = Stand {
            status: deployment.status(),
            reason: deployment.waiting.as_ref().map(Waiting::as_str),
            heard_at: Instant::now(),
        };
        self.with(|known| {
            known.reasons.extend(stand.reason);
            known.deployments.insert(deployment.id.clone(), stand);
        });
    }

    /// It ended, or somebody else drives it.
    pub(super) fn forget(&self, id: &DeploymentId) {
        self.with(|known| known.deployments.remove(id));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Driving) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn counted(&self) -> (Family<StatusLabels, Gauge>, Family<ReasonLabels, Gauge>) {
        let (statuses, reasons) = (Family::default(), Family::default());
        let labels = |status: Status| StatusLabels {
            status: status.as_str(),
        };
        for status in Status::UNFINISHED {
            count(&statuses, &labels(status), 0);
        }
        self.with(|known| {
            known
                .deployments
                .retain(|_, stand| stand.heard_at.elapsed() < FORGET);
            for reason in known.reasons.iter().copied() {
                count(&reasons, &ReasonLabels { reason }, 0);
            }
            for stand in known.deployments.values() {
                count(&statuses, &labels(stand.status), 1);
                if let Some(reason) = stand.reason {
                    count(&reasons, &ReasonLabels { reason }, 1);
                }
            }
        });
        (statuses, reasons)
    }
}

fn count<L: Clone + Eq + std::hash::Hash>(family: &Family<L, Gauge>, labels: &L, by: i64) {
    family.get_or_create(labels).inc_by(by);
}

/// Writes what is known at the moment of a scrape.
#[derive(Debug)]
pub(super) struct DrivenCollector(pub(super) Arc<Driven>);

impl Collector for DrivenCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (statuses, reasons) = self.0.counted();
        write(
            &mut encoder,
            "deployments_running",
            "Deployments that this server drives, by status",
            &statuses,
        )?;
        write(
            &mut encoder,
            "deployment_waiting",
            "Deployments that this server drives, by what they wait for",
            &reasons,
        )
    }
}

fn write<L>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    family: &Family<L, Gauge>,
) -> Result<(), fmt::Error>
where
    L: Clone + Eq + std::hash::Hash + EncodeLabelSet,
{
    let encoder = encoder.encode_descriptor(name, help, None, family.metric_type())?;
    family.encode(encoder)
}
